"""Kubernetes quantities, exactly: parsed, rounded and written as ``k8s.io/apimachinery`` does.

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
"""A quantity as JSON or YAML delivers it: the API server takes a string, a number or null (zero)."""

MAX_INT64: Final = 2**63 - 1
_NANO: Final = -9
_FAST_DIGITS: Final = 18
"""Decimal digits that surely fit 64 bits: up to here apimachinery computes in int64, beyond in decimals."""

_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX: Final = ("", *_BINARY)
_SYNTAX: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<zeros>0*)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?:(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?",
)
_LONGEST: Final = 256
"""Characters. Real quantities have a dozen; a longer one is refused before it costs anything."""

MOST_CACHED: Final = 16_384
"""Texts whose parse is kept: a cluster writes the same few hundred again and again."""

EXPECTED: Final = 'a quantity such as "1", "250m", "512Mi", "2G" or "1e3"'


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """A parsed quantity: ``digits`` × 10 ** ``scale``.

    Attributes:
        digits: signed integer.
        scale: power of ten.
        format: how it is written back.
        text: the text it was parsed from where that already is canonical, else empty.
        wide: whether apimachinery leaves int64 for it; only the rounding of negative fractions differs.
    """

    digits: int
    scale: int
    format: Format = "DecimalSI"
    text: str = ""
    wide: bool = False

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return (self.digits > 0) - (self.digits < 0)

    def value(self) -> int:
        """Whole units (bytes, cores), rounded up, at most 2**63 - 1 either way."""
        return saturated(self.scaled(0))

    def milli(self) -> int:
        """Thousandths (milli-CPU), rounded up, at most 2**63 - 1 either way."""
        return saturated(self.scaled(-3))

    def scaled(self, scale: int) -> int:
        """The number in units of 10 ** ``scale``, rounded up: away from zero, as int64 amounts are."""
        shift = self.scale - scale
        if shift >= 0:
            # No memory for absurd exponents: past 10**80 the exact number no longer matters.
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
    """``number`` held within 64 bits: apimachinery would wrap, and make a huge limit a negative one."""
    return max(-MAX_INT64, min(MAX_INT64, number))


@lru_cache(maxsize=MOST_CACHED)
def parse(text: str) -> Quantity:
    """Parse a quantity as the API server does.

    Raises:
        InvalidInput: for everything that the API server refuses.
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
    # A suffix alone is zero to apimachinery's int64 path ("Gi", "k") and an error to its decimal one ("Pi").
    if parsed.wide and not (zeros or whole or fraction):
        raise InvalidInput("", text, EXPECTED)
    return parsed


def from_raw(raw: RawQuantity) -> Quantity:
    """Parse a quantity as it stands in a decoded manifest.

    Raises:
        InvalidInput: for everything that the API server refuses.
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
    """A quantity in thousandths, rounded up: what requests and limits are summed in.

    Raises:
        InvalidInput: for everything that the API server refuses.
    """
    return parse(text).scaled(-3)


def binary(number_bytes: int) -> str:
    """A byte count in the canonical binary form, such as ``512Mi``."""
    return Quantity(number_bytes, 0, "BinarySI").canonical()


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
    # The same estimate of decimal precision as apimachinery's, so that the same inputs take its int64 path.
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
    """What is finer than a nano is rounded away from zero: who asks for something gets something."""
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
