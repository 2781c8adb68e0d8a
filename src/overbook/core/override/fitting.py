"""The part of an override that the API server admits: as few changes as possible are left out.

The API server checks CPU and memory apart, most of it for each container alone. So the smallest part that
is left out is one resource of one container, or one rule of it: of the CPU first the limit that follows the
memory limit, with the request recomputed from the written limit, then the request, then both. What holds for
the pod as a whole (pod-level resources, LimitRanges of type Pod) is met by leaving out the largest changes
of the resource first; after that each one that can stay is taken back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import structs

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import Constraint, container_complaint, together_complaint
from overbook.core.kubernetes.limit_range import Bounds
from overbook.core.kubernetes.pod import Container, Pod, PodSpec, ResourceRequirements
from overbook.core.kubernetes.quantity import from_raw
from overbook.core.kubernetes.resolved import resolve_containers, resolved_level
from overbook.core.kubernetes.resources import CPU, amounts, container_resources
from overbook.core.override.options import RESOURCES, ChangeOption, options_of_container, options_of_pod_level
from overbook.core.override.override import (
    ORIGINAL_POD_REQUEST,
    UNCHANGED,
    Change,
    Override,
    Place,
    apply,
    original_request_key,
)

_MOST_TRIALS: Final = 1024
"""The most containers times trials of one search: its time grows with the square of their number."""


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """What an override leaves as it is.

    Attributes:
        place: the list that the container is in; ``pod``: it is about ``spec.resources``.
        name: the container's name.
        what: ``CPU``, ``CPU limit``, ``CPU request``, ``memory`` or ``resources``.
        why: what the API server would say.
    """

    place: Place
    name: str
    what: str
    why: str


class Fitted(msgspec.Struct, frozen=True, gc=False):
    """What can be made of an override.

    Attributes:
        override: the changes that the API server admits.
        left_out: what it would refuse.
    """

    override: Override
    left_out: tuple[LeftOut, ...] = ()


class Ranges(msgspec.Struct, frozen=True, gc=False):
    """What a namespace's LimitRanges say.

    Attributes:
        bounds: the bounds for containers, within which the rules stay.
        pod_bounds: the bounds for pods.
        constraints: everything that is forbidden.
    """

    bounds: Bounds
    pod_bounds: Bounds
    constraints: tuple[Constraint, ...]


class FittingRules(msgspec.Struct, frozen=True, gc=False):
    """What the changes of a pod are computed from and checked by.

    Attributes:
        policy_of: the percentages for a container, or for the pod as a whole.
        ranges: the namespace's LimitRanges.
        noted: the annotations from which original CPU requests are read.
    """

    policy_of: Callable[[Place, int], OverridePolicy]
    ranges: Ranges
    noted: Mapping[str, str]


class _NeverAdmittedError(Exception):
    """The API server refuses the pod without the override, too."""


class _Unit:
    """One resource of one container, or of the pod: its options, and the one that is chosen."""

    def __init__(
        self, place: Place, index: int, name: str, resource: str, options: list[ChangeOption]
    ) -> None:
        self.place: Place = place
        self.index = index
        self.name = name
        self.resource = resource
        self.options = options
        self.wanted = options[0].parts
        self.chosen = 0
        self.why = ""

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.options[self.chosen].changes

    @property
    def size(self) -> int:
        """The largest of its changes, in thousandths."""
        return max((_size(change) for change in self.changes), default=0)

    def drop(self, why: str) -> None:
        self.chosen = len(self.options) - 1
        self.why = why

    def left_out(self) -> Iterator[LeftOut]:
        parts = self.wanted - self.options[self.chosen].parts
        if parts:
            what = "CPU" if self.resource == CPU else "memory"
            if self.changes:
                what += " limit" if "limits" in parts else " request"
            yield LeftOut(self.place, self.name, what, self.why)


def fit(pod: Pod, rules: FittingRules) -> Fitted | None:
    """The changes with which the API server admits a pod; ``None``: it refuses the pod in any case.

    Args:
        pod: the pod as submitted, LimitRange defaults merged in.
        rules: the override, and the namespace's LimitRanges.

    Containers, or pod-level resources, that cannot be read are left out, and everything else is decided as if
    they had no resources.
    """
    try:
        fitting = _Fitting(pod, rules)
        for resource in RESOURCES:
            fitting.settle(resource)
    except _NeverAdmittedError:
        return None
    return fitting.fitted()


class _Fitting:
    def __init__(self, pod: Pod, rules: FittingRules) -> None:
        self._rules = rules
        self._unreadable: list[LeftOut] = []
        self._units: list[_Unit] = []
        self._level: dict[str, _Unit] = {}
        lists: dict[Place, tuple[Container, ...]] = {
            "initContainers": pod.init_containers,
            "containers": pod.containers,
        }
        self._bounds = {
            resource: [
                one
                for one in rules.ranges.constraints
                if one.scope == "Container" and one.resource == resource
            ]
            for resource in RESOURCES
        }
        read = {place: tuple(self._read(place, containers)) for place, containers in lists.items()}
        spec = structs.replace(
            pod.spec, containers=read["containers"], init_containers=read["initContainers"]
        )
        self._pod = structs.replace(pod, spec=structs.replace(spec, resources=self._read_level(pod)))

    def fitted(self) -> Fitted:
        units = [*self._units, *self._level.values()]
        changes = tuple(change for unit in units for change in unit.changes)
        notes = {
            ORIGINAL_POD_REQUEST if unit.place == "pod" else original_request_key(unit.name): note
            for unit in units
            if (note := unit.options[unit.chosen].note) is not None
        }
        left_out = (*self._unreadable, *(one for unit in units for one in unit.left_out()))
        return Fitted(Override(changes, notes) if changes or notes else UNCHANGED, left_out)

    def _read(self, place: Place, containers: tuple[Container, ...]) -> Iterator[Container]:
        """The containers, without the resources of those that cannot be read; fills the list of units."""
        rules = self._rules
        for index, container in enumerate(containers):
            policy = rules.policy_of(place, index)
            try:
                container_resources(container)
                options = options_of_container(
                    place, index, container, policy, rules.ranges.bounds, rules.noted
                )
            except InvalidInput as error:
                self._unreadable.append(LeftOut(place, container.name, "resources", str(error)))
                yield structs.replace(container, resources=None)
                continue
            for resource in RESOURCES:
                unit = _Unit(place, index, container.name, resource, options[resource])
                self._units.append(unit)
                self._keep_possible(unit, container)
            yield container

    def _read_level(self, pod: Pod) -> ResourceRequirements | None:
        """The pod-level resources; ``None``: there are none, or they cannot be read."""
        rules = self._rules
        if pod.spec.resources is None:
            return None
        try:
            amounts(pod.spec.resources.requests), amounts(pod.spec.resources.limits)
            bare = Pod(spec=PodSpec(resources=pod.spec.resources))
            options_of_pod_level(bare, rules.policy_of("pod", 0), rules.ranges.pod_bounds, (), rules.noted)
        except InvalidInput as error:
            self._unreadable.append(LeftOut("pod", "", "resources", str(error)))
            return None
        return pod.spec.resources

    def _keep_possible(self, unit: _Unit, container: Container) -> None:
        """Keep only the options that are not refused whatever the other containers are."""
        resource = unit.resource
        if not any(option.changes for option in unit.options):
            return
        alone = Pod(spec=PodSpec(containers=(container,)))
        possible = []
        for option in unit.options:
            changes = [structs.replace(one, place="containers", index=0) for one in option.changes]
            (changed,) = apply(alone, changes).containers
            why = container_complaint(container_resources(changed), self._bounds[resource], resource)
            if not why:
                possible.append(option)
            unit.why = unit.why or why
        if not possible:
            raise _NeverAdmittedError
        unit.options = possible

    def settle(self, resource: str) -> None:
        """Choose the changes of a resource that are admitted together."""
        if not (why := self._complaint(resource)):
            return
        mine = [unit for unit in self._units if unit.resource == resource and unit.changes]
        mine.sort(key=lambda unit: unit.size, reverse=True)
        before = [unit.chosen for unit in mine]
        least, most = 0, len(mine)
        # With the first `least` left out the pod is refused, with the first `most` it is admitted.
        self._leave_out(mine, before, most, why)
        if self._complaint(resource):
            raise _NeverAdmittedError
        while most - least > 1:
            middle = (least + most) // 2
            self._leave_out(mine, before, middle, why)
            if self._complaint(resource):
                least = middle
            else:
                most = middle
        self._leave_out(mine, before, most, why)
        if most * (len(self._units) // 2) <= _MOST_TRIALS:
            dropped = [*zip(mine, before, strict=True)][:most]
            # One that is taken back may make room for another.
            while any(self._take_back(unit, chosen) for unit, chosen in reversed(dropped)):
                pass
        self._complaint(resource)

    def _leave_out(self, units: list[_Unit], before: list[int], number: int, why: str) -> None:
        for place, (unit, chosen) in enumerate(zip(units, before, strict=True)):
            if place < number:
                unit.drop(why)
            else:
                unit.chosen = chosen

    def _take_back(self, unit: _Unit, best: int) -> bool:
        """Choose a better option than the present one, if one is admitted. Returns whether one is."""
        present = unit.chosen
        for number in range(best, present):
            unit.chosen = number
            if not self._complaint(unit.resource):
                return True
        unit.chosen = present
        return False

    def _complaint(self, resource: str) -> str:
        """Why the chosen changes are refused with any changes of ``spec.resources``; chooses those, too."""
        rules, pod = self._rules, self._pod
        changes = [change for unit in self._units for change in unit.changes]
        if pod.spec.resources is None:
            return self._together(changes, resource)
        policy = rules.policy_of("pod", 0)
        options = options_of_pod_level(pod, policy, rules.ranges.pod_bounds, changes, rules.noted)[resource]
        unit = self._level[resource] = _Unit("pod", 0, "", resource, options)
        for number, option in enumerate(options):
            unit.chosen = number
            why = self._together([*changes, *option.changes], resource)
            if not why:
                return ""
            unit.why = unit.why or why
        return unit.why

    def _together(self, changes: list[Change], resource: str) -> str:
        pod = apply(self._pod, changes)
        containers = resolve_containers(pod)
        return together_complaint(
            containers, resolved_level(pod, containers), self._rules.ranges.constraints, resource
        )


def _size(change: Change) -> int:
    before = 0 if change.old is None else from_raw(change.old).scaled(-3)
    return abs(from_raw(change.new).scaled(-3) - before)
