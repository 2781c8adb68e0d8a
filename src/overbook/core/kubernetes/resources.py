"""Amounts of CPU and memory, and a container's requests and limits, defaulted as by the API server.

Source: ``pkg/apis/core/v1/defaults.go`` at v1.36. A whole pod: :mod:`overbook.core.kubernetes.resolved`.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, ResourceList, ResourceRequirements
from overbook.core.kubernetes.quantity import MAX_INT64, RawQuantity, from_raw, thousandths

CPU: Final = "cpu"
MEMORY: Final = "memory"


MOST: Final = MAX_INT64 * 1000
"""The largest amount, in thousandths: the API server accepts 8Ei and more, but 64 bits hold no more."""
_ABSURD: Final = 10**33
"""From here on, in thousandths, an amount is refused: nobody means it."""


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """CPU and memory in thousandths; ``None`` means "not given", which differs from 0.

    The API server rounds each quantity up to thousandths, also of bytes. Sums become whole bytes only at the
    end, so ten containers of 100m bytes are one byte.

    Attributes:
        cpu_milli: thousandths of a core.
        memory_millibytes: thousandths of a byte.
    """

    cpu_milli: int | None = None
    memory_millibytes: int | None = None

    @classmethod
    def of(cls, cpu_milli: int | None = None, memory_bytes: int | None = None) -> "Amounts":
        """Amounts from milli-CPU and bytes."""
        return cls(cpu_milli, None if memory_bytes is None else memory_bytes * 1000)

    @property
    def memory_bytes(self) -> int | None:
        """The memory in bytes, rounded up."""
        return None if self.memory_millibytes is None else -(-self.memory_millibytes // 1000)

    def __add__(self, other: "Amounts") -> "Amounts":
        cpu, memory = other.cpu_milli, other.memory_millibytes
        if self.cpu_milli is not None:
            cpu = self.cpu_milli if cpu is None else self.cpu_milli + cpu
        if self.memory_millibytes is not None:
            memory = self.memory_millibytes if memory is None else self.memory_millibytes + memory
        return Amounts(cpu, memory)

    def at_least(self, other: "Amounts") -> "Amounts":
        """The larger of the two, resource by resource."""
        return Amounts(
            _larger(self.cpu_milli, other.cpu_milli),
            _larger(self.memory_millibytes, other.memory_millibytes),
        )

    def over(self, below: "Amounts") -> "Amounts":
        """These amounts, and ``below`` where these give none."""
        return Amounts(
            below.cpu_milli if self.cpu_milli is None else self.cpu_milli,
            below.memory_millibytes if self.memory_millibytes is None else self.memory_millibytes,
        )

    @property
    def is_empty(self) -> bool:
        """Whether both amounts are 0 or not given."""
        return not self.cpu_milli and not self.memory_millibytes


class Resources(msgspec.Struct, frozen=True, gc=False):
    """Requests after defaulting, and limits."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()


NONE: Final = Resources()


def container_resources(container: Container) -> Resources:
    """A container's requests, defaulted from its limits, and its limits.

    Raises:
        InvalidInput: a quantity that the API server refuses, a negative one included.
    """
    try:
        return _defaulted(container.resources)
    except InvalidInput as error:
        raise error.inside(f"containers[{container.name}].resources.") from error


def amounts(listed: ResourceList | None, where: str = "") -> Amounts:
    """CPU and memory of a resource list.

    Raises:
        InvalidInput: a quantity that the API server refuses, a negative or an absurdly large one included.
    """
    if not listed:
        return Amounts()
    return Amounts(_thousandths(listed, CPU, where), _thousandths(listed, MEMORY, where))


def _thousandths(listed: ResourceList, name: str, where: str) -> int | None:
    if name not in listed:
        return None
    raw: RawQuantity = listed[name]
    try:
        amount = thousandths(raw.strip()) if type(raw) is str else from_raw(raw).scaled(-3)
    except InvalidInput as error:
        raise error.inside(f"{where}{name}") from error
    if amount < 0 or amount >= _ABSURD:
        raise InvalidInput(f"{where}{name}", raw, "a quantity from 0 to less than 1e30")
    return min(amount, MOST)


def _defaulted(written: ResourceRequirements | None) -> Resources:
    if written is None:
        return NONE
    limits = amounts(written.limits, "limits.")
    return Resources(amounts(written.requests, "requests.").over(limits), limits)


def _larger(one: int | None, other: int | None) -> int | None:
    if one is None:
        return other
    return one if other is None else max(one, other)


def total(parts: Iterable[Amounts]) -> Amounts:
    """The sum of several amounts."""
    result = Amounts()
    for part in parts:
        result += part
    return result
