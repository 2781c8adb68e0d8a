"""Kubernetes quantities: parsed, rounded and written exactly as by ``k8s.io/apimachinery``.

A quantity is ``sign digits[.digits] suffix``. The suffix is decimal (``n u m k M G T P E``), binary
(``Ki Mi Gi Ti Pi Ei``) or an exponent (``e3``, ``E-2``). Numbers are integers scaled by a power of ten,
never floats. Source: apimachinery ``pkg/api/resource`` at v0.36.2.
"""

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]
RawQuantity = str | int | float | None
"""A quantity in decoded JSON or YAML: the API server takes a string, a number or null (zero)."""

MAX_INT64: Final = 2**63 - 1
_NANO: Final = -9
_FAST_DIGITS: Final = 18
"""The most decimal digits that always fit 64 bits: up to here apimachinery uses int64, beyond it decimals."""

_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX: Final = ("", *_BINARY)
_SYNTAX: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<zeros>0*)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?:(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?",
)
_LONGEST: Final = 256
"""The most characters of a quantity. Real ones have a dozen; a longer text is refused before it is parsed."""

MOST_CACHED: Final = 16_384
"""The number of texts whose result is cached: a cluster uses the same few hundred again and again."""

EXPECTED: Final = 'a quantity such as "1", "250m", "512Mi", "2G" or "1e3"'


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """A parsed quantity: ``digits`` × 10 ** ``scale``.

    Attributes:
        digits: a signed integer.
        scale: the power of ten.
        format: the form of the canonical text.
        text: the text that was parsed, if it is canonical already, else empty.
        wide: whether apimachinery uses decimals instead of int64; only the rounding of negative fractions
            differs.
    """

    digits: int
    scale: int
    format: Format = "DecimalSI"
    text: str = ""
    wide: bool = False

    @property
    def sign(self) -> int:
        """The sign: -1, 0 or 1."""
        return (self.digits > 0) - (self.digits < 0)

    def value(self) -> int:
        """The quantity in whole units (bytes, cores), rounded up; its absolute value is at most 2**63 - 1."""
        return saturated(self.scaled(0))

    def milli(self) -> int:
        """The quantity in thousandths (milli-CPU), rounded up; its absolute value is at most 2**63 - 1."""
        return saturated(self.scaled(-3))

    def scaled(self, scale: int) -> int:
        """The quantity in units of 10 ** ``scale``, rounded away from zero as in apimachinery."""
        shift = self.scale - scale
        if shift >= 0:
            # Limits the memory for huge exponents: past 10**80 the exact number no longer matters.
            return self.digits * power_of_ten(min(shift, 80))
        magnitude, rest = divmod(abs(self.digits), power_of_ten(-shift))
        if self.digits >= 0:
            return magnitude + (rest > 0)
        return -magnitude + (rest > 0) if self.wide else -magnitude - (rest > 0)

    def canonical(self) -> str:
        """The text that the API server would write back."""
        if self.digits == 0:
            return "0"
        if self.text:
            return self.text
        if self.format == "BinarySI" and self._whole() and abs(self.scaled(0)) >= 1024:
            return _canonical_binary(self.scaled(0))
        return _canonical_decimal(self.digits, self.scale, exponent_form=self.format == "DecimalExponent")

    def _whole(self) -> bool:
        return self.scale >= 0 or self.digits % 10**-self.scale == 0


def power_of_ten(exponent: int) -> int:
    """10 ** ``exponent``, which must not be negative."""
    return int(10**exponent)


def saturated(number: int) -> int:
    """``number`` limited to 64 bits; apimachinery would overflow, and make a huge limit negative."""
    return max(-MAX_INT64, min(MAX_INT64, number))


@lru_cache(maxsize=MOST_CACHED)
def parse(text: str) -> Quantity:
    """Parse a quantity as the API server does.

    Raises:
        InvalidInput: the API server refuses the quantity.
    """
    match = _SYNTAX.fullmatch(text) if 0 < len(text) <= _LONGEST else None
    if match is None:
        raise InvalidInput("", text, EXPECTED)
    sign, zeros, whole, fraction, binary, decimal, exponent = match.groups()
    if exponent is not None and abs(int(exponent)) > MAX_INT64:
        raise InvalidInput("", text, EXPECTED)
    number = (text, sign, whole or "0", fraction or "")
    if binary is not None:
        parsed = _parse_binary(*number, _BINARY[binary])
    elif exponent is not None:
        parsed = _parse_decimal(*number, int(exponent), "DecimalExponent")
    else:
        parsed = _parse_decimal(*number, _DECIMAL[decimal or ""], "DecimalSI")
    # A suffix alone is zero in apimachinery's int64 code ("Gi", "k") and an error in its decimal code ("Pi").
    if parsed.wide and not (zeros or whole or fraction):
        raise InvalidInput("", text, EXPECTED)
    return parsed


def from_raw(raw: RawQuantity) -> Quantity:
    """Parse a quantity from a decoded manifest.

    Raises:
        InvalidInput: the API server refuses the quantity.
    """
    if type(raw) is str:
        return parse(raw.strip())
    if raw is None:
        return ZERO
    if type(raw) is bool:
        raise InvalidInput("", raw, EXPECTED)
    return parse(str(raw))


@lru_cache(maxsize=MOST_CACHED)
def thousandths(text: str) -> int:
    """A quantity in thousandths, rounded up: the unit in which requests and limits are summed.

    Raises:
        InvalidInput: the API server refuses the quantity.
    """
    return parse(text).scaled(-3)


def binary(number_bytes: int) -> str:
    """A byte count in the canonical binary form, such as ``512Mi``."""
    return Quantity(number_bytes, 0, "BinarySI").canonical()


def added(one: Quantity, other: Quantity) -> Quantity:
    """The exact sum, in the first quantity's format; a first quantity of 0 takes the other's format."""
    scale = min(one.scale, other.scale)
    digits = one.digits * power_of_ten(one.scale - scale) + other.digits * power_of_ten(other.scale - scale)
    return Quantity(digits, scale, one.format if one.digits else other.format)


def negated(quantity: Quantity) -> Quantity:
    """The same quantity with the other sign."""
    return Quantity(-quantity.digits, quantity.scale, quantity.format)


def _parse_decimal(text: str, sign: str, whole: str, fraction: str, exponent: int, form: Format) -> Quantity:
    shown = whole + fraction
    digits = -int(shown) if sign == "-" else int(shown)
    scale = exponent - len(fraction)
    if len(shown) > _FAST_DIGITS or scale < _NANO:
        return Quantity(*_rounded_to_nano(digits, scale), form, wide=True)
    canonical = scale % 3 == 0 and not shown.endswith("000") and shown[0] != "0"
    return Quantity(digits, scale, form, text if canonical else "")


def _parse_binary(text: str, sign: str, whole: str, fraction: str, exponent: int) -> Quantity:
    shown = whole + fraction
    digits = int(shown) << exponent
    signed = -digits if sign == "-" else digits
    # The same estimate of decimal precision as apimachinery's, so that the same inputs count as int64.
    if not fraction and 15 - len(whole) - exponent * 3 // 10 - 1 >= 0:
        return Quantity(signed, 0, "BinarySI", text if int(shown) & 7 else "")
    scale = -len(fraction)
    if digits >= MAX_INT64 * 10**-scale:
        digits, scale = MAX_INT64, 0
    digits, scale = _rounded_to_nano(digits, scale)
    below_one = 0 < digits < 10**-scale if scale < 0 else False
    return Quantity(
        -digits if sign == "-" else digits, scale, "DecimalSI" if below_one else "BinarySI", wide=True
    )


def _rounded_to_nano(digits: int, scale: int) -> tuple[int, int]:
    """Digits and scale rounded away from zero to 1e-9, so that a positive request never becomes 0."""
    if scale >= _NANO:
        return digits, scale
    if digits == 0:
        return 0, 0
    dropped = _NANO - scale
    magnitude = 1 if dropped > _LONGEST else -(-abs(digits) // 10**dropped)
    return (magnitude if digits > 0 else -magnitude), _NANO


def _canonical_decimal(digits: int, scale: int, *, exponent_form: bool) -> str:
    while digits % 10 == 0:
        digits //= 10
        scale += 1
    digits *= 10 ** (scale % 3)
    scale -= scale % 3
    if not exponent_form and scale in _DECIMAL_SUFFIX:
        return f"{digits}{_DECIMAL_SUFFIX[scale]}"
    return f"{digits}e{scale}" if scale else str(digits)


def _canonical_binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(_BINARY_SUFFIX) - 1:
        number //= 1024
        power += 1
    return f"{number}{_BINARY_SUFFIX[power]}"


ZERO: Final = Quantity(0, 0)
