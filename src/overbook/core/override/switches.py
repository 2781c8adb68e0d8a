"""What of a namespace decides about its overrides: two labels and an annotation, and nothing else is kept.

There may be ten thousand namespaces, so that the structs have as few fields as possible.
"""

from typing import Final

import msgspec

from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.override.admission import ENABLED_LABEL, RUN_LEVEL_LABEL, SWITCH_ANNOTATION


class OptedIn(msgspec.Struct, frozen=True, gc=False):
    """What decides in a namespace about its overrides.

    Attributes:
        enabled: the value of its label :data:`ENABLED_LABEL`.
        switch: the value of its annotation :data:`SWITCH_ANNOTATION`.
        run_level: the value of its label :data:`RUN_LEVEL_LABEL`.
    """

    enabled: str | None = None
    switch: str | None = None
    run_level: str | None = None


NOT_OPTED_IN: Final = OptedIn()


class NamespaceLabels(msgspec.Struct, frozen=True, gc=False):
    """The labels of a namespace that are used."""

    enabled: str | None = msgspec.field(default=None, name=ENABLED_LABEL)
    run_level: str | None = msgspec.field(default=None, name=RUN_LEVEL_LABEL)


class NamespaceAnnotations(msgspec.Struct, frozen=True, gc=False):
    """The annotation of a namespace that is used."""

    switch: str | None = msgspec.field(default=None, name=SWITCH_ANNOTATION)


class NamespaceMetadata(KubeStruct, frozen=True):
    """The metadata of a namespace that are used."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: NamespaceLabels | None = None
    annotations: NamespaceAnnotations | None = None


class NamespaceSwitches(KubeStruct, frozen=True):
    """A namespace with the switches that enable or disable overrides."""

    metadata: NamespaceMetadata = NamespaceMetadata()

    @property
    def opted_in(self) -> OptedIn:
        """The values of its labels and of its annotation."""
        labels, annotations = self.metadata.labels, self.metadata.annotations
        return OptedIn(
            labels.enabled if labels else None,
            annotations.switch if annotations else None,
            labels.run_level if labels else None,
        )
