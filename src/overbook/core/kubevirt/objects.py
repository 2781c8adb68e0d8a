"""What relief needs of KubeVirt's objects: live migrations, who is migrated at all, and how many at once.

Sources: ``kubevirt.io/api/core/v1`` at v1.9; ``pkg/virt-controller/watch/migration``.
"""

from typing import Annotated, Final

import msgspec

from overbook.core.kubernetes.pod import ENDED, KubeStruct, ObjectMeta
from overbook.core.timestamp import from_timestamp

EVACUATION_ANNOTATION: Final = "kubevirt.io/evacuationMigration"
"""On a migration that an eviction set off: the node that is left."""
Limit = Annotated[int, msgspec.Meta(ge=0)]


class _PhaseTransition(KubeStruct, frozen=True):
    phase: str = ""
    phase_transition_timestamp: str | None = None


class MigrationState(KubeStruct, frozen=True):
    """From where to where; KubeVirt fills it in when source and target are ready."""

    source_node: str | None = None
    source_pod: str | None = None
    target_node: str | None = None
    failure_reason: str | None = None


class _MigrationStatus(KubeStruct, frozen=True):
    phase: str | None = None
    migration_state: MigrationState | None = None
    phase_transition_timestamps: tuple[_PhaseTransition, ...] | None = None


class _MigrationSpec(KubeStruct, frozen=True):
    vmi_name: str = ""


class Migration(KubeStruct, frozen=True):
    """A VirtualMachineInstanceMigration."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _MigrationSpec = _MigrationSpec()
    status: _MigrationStatus | None = None

    @property
    def phase(self) -> str:
        """``Pending`` before KubeVirt has looked at it."""
        return (self.status.phase if self.status else None) or "Pending"

    @property
    def is_over(self) -> bool:
        """Whether it succeeded or failed; everything else counts against KubeVirt's limits."""
        return self.phase in ENDED

    @property
    def instance(self) -> str:
        """``namespace/name`` of the guest."""
        return f"{self.metadata.namespace or 'default'}/{self.spec.vmi_name}"

    @property
    def state(self) -> MigrationState:
        """Empty until source and target are ready."""
        return (self.status.migration_state if self.status else None) or MigrationState()

    @property
    def source_pod(self) -> str:
        """``namespace/name`` of the pod that is left; empty: not known yet."""
        name = self.state.source_pod
        return f"{self.metadata.namespace or 'default'}/{name}" if name else ""

    @property
    def source_node(self) -> str:
        """The node that is left; empty: not known yet."""
        return self.state.source_node or (self.metadata.annotations or {}).get(EVACUATION_ANNOTATION, "")

    @property
    def progressed_at(self) -> float | None:
        """When it last entered another phase, in seconds since the epoch: all the progress that it tells."""
        transitions = (self.status and self.status.phase_transition_timestamps) or ()
        written = [
            self.metadata.creation_timestamp,
            *(each.phase_transition_timestamp for each in transitions),
        ]
        return max((moment for moment in map(from_timestamp, written) if moment is not None), default=None)


class InstanceCondition(KubeStruct, frozen=True):
    """A condition of a guest."""

    type: str = ""
    status: str = ""


class _InstanceStatus(KubeStruct, frozen=True):
    node_name: str | None = None
    evacuation_node_name: str | None = None
    active_pods: dict[str, str] | None = None
    conditions: tuple[InstanceCondition, ...] | None = None


class _InstanceSpec(KubeStruct, frozen=True):
    eviction_strategy: str | None = None


class MovableInstance(KubeStruct, frozen=True):
    """A VirtualMachineInstance, as far as moving it goes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _InstanceSpec = _InstanceSpec()
    status: _InstanceStatus = _InstanceStatus()

    @property
    def is_migratable(self) -> bool:
        """Whether KubeVirt says that it can be migrated live."""
        conditions = self.status.conditions or ()
        return any(known.type == "LiveMigratable" and known.status == "True" for known in conditions)

    def owns(self, pod_uid: str) -> bool:
        """Whether KubeVirt itself counts the pod as this guest's: anyone may write an owner reference.

        A guest that has not told its pods yet is believed.
        """
        return not self.status.active_pods or pod_uid in self.status.active_pods

    def would_migrate(self, default_strategy: str) -> bool:
        """Whether an eviction of its pod would set off a live migration (or be refused), not end it.

        Args:
            default_strategy: the cluster's, for a guest without its own.
        """
        strategy = self.spec.eviction_strategy or default_strategy
        return strategy in ("LiveMigrate", "External") or (
            strategy == "LiveMigrateIfPossible" and self.is_migratable
        )


class _MigrationConfiguration(KubeStruct, frozen=True):
    parallel_migrations_per_cluster: Limit | None = None
    parallel_outbound_migrations_per_node: Limit | None = None


class _Configuration(KubeStruct, frozen=True):
    eviction_strategy: str | None = None
    migrations: _MigrationConfiguration | None = None


class _KubeVirtSpec(KubeStruct, frozen=True):
    configuration: _Configuration = _Configuration()


class KubeVirt(KubeStruct, frozen=True):
    """KubeVirt's own configuration."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _KubeVirtSpec = _KubeVirtSpec()

    @property
    def eviction_strategy(self) -> str:
        """Of guests without their own."""
        return self.spec.configuration.eviction_strategy or "None"

    @property
    def per_cluster(self) -> int:
        """Migrations that may run at once."""
        written = self.spec.configuration.migrations
        limit = written.parallel_migrations_per_cluster if written else None
        return 5 if limit is None else limit

    @property
    def per_node(self) -> int:
        """Migrations that may leave one node at once."""
        written = self.spec.configuration.migrations
        limit = written.parallel_outbound_migrations_per_node if written else None
        return 2 if limit is None else limit
