"""A value of each pod, worked out when the pod is first seen or is another one than before."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import ResolvedPod, resolve

_Value = TypeVar("_Value")


class PerPod(Generic[_Value]):
    """The values of the pods that a source has now. One pod of many changes: the others cost nothing.

    Args:
        work: what is worked out of a pod; what it raises as InvalidInput leaves the pod out.
    """

    def __init__(self, work: Callable[[ResolvedPod], _Value]) -> None:
        self._work = work
        self._known: dict[str, tuple[Pod, tuple[_Value, ...]]] = {}

    def of(self, pods: Mapping[str, Pod]) -> list[_Value]:
        """The values of the pods, by UID, without those that make no sense.

        Which those are is said where their facts are worked out.
        """
        known, self._known = self._known, {}
        for uid, pod in pods.items():
            before = known.get(uid)
            self._known[uid] = (
                before if before is not None and before[0] is pod else (pod, self._worked_out(pod))
            )
        return [value for _, values in self._known.values() for value in values]

    def clear(self) -> None:
        """Work out every value anew the next time, because something else than the pods has changed."""
        self._known = {}

    def _worked_out(self, pod: Pod) -> tuple[_Value, ...]:
        try:
            return (self._work(resolve(pod)),)
        except InvalidInput:
            return ()
