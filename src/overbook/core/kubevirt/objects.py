"""KubeVirt's objects as relief needs them: live migrations, which VMs are migrated, and how many at once.

Sources: ``kubevirt.io/api/core/v1`` at v1.9; ``pkg/virt-controller/watch/migration``.
"""

from typing import Annotated, Final

import msgspec

from overbook.core.kubernetes.pod import ENDED, KubeStruct, ObjectMeta
from overbook.core.timestamp import from_timestamp

EVACUATION_ANNOTATION: Final = "kubevirt.io/evacuationMigration"
"""On a migration that an eviction caused: the node that the VM leaves."""
_REJECTED: Final = "Rejected"
"""Part of the type of conditions such as ``migrationRejectedByResourceQuota``."""
Limit = Annotated[int, msgspec.Meta(ge=0)]


class _PhaseTransition(KubeStruct, frozen=True):
    phase: str = ""
    phase_transition_timestamp: str | None = None


class MigrationState(KubeStruct, frozen=True):
    """Source and target of a migration, and why it failed.

    The VirtualMachineInstance has all of it while the migration runs. The migration's own object has only
    the source pod then; the rest comes with a second write, after its phase has become ``Succeeded`` or
    ``Failed``.
    """

    source_node: str | None = None
    source_pod: str | None = None
    target_node: str | None = None
    failure_reason: str | None = None
    migration_uid: str | None = None


class InstanceCondition(KubeStruct, frozen=True):
    """A condition of a VirtualMachineInstance, or of its migration."""

    type: str = ""
    status: str = ""


class _MigrationStatus(KubeStruct, frozen=True):
    phase: str | None = None
    migration_state: MigrationState | None = None
    conditions: tuple[InstanceCondition, ...] | None = None
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
        """The phase; ``Pending`` before KubeVirt has handled the migration."""
        return (self.status.phase if self.status else None) or "Pending"

    @property
    def is_over(self) -> bool:
        """Whether the migration has succeeded or failed."""
        return self.phase in ENDED

    @property
    def takes_a_place(self) -> bool:
        """Whether the migration counts against KubeVirt's limits: a pending one has no target pod yet."""
        return not self.is_over and self.phase != "Pending"

    @property
    def is_evacuation(self) -> bool:
        """Whether KubeVirt made the migration because of an eviction, and not a user."""
        return EVACUATION_ANNOTATION in (self.metadata.annotations or {})

    @property
    def rejection(self) -> str:
        """The condition that says why a pending migration gets no target pod; empty: none does."""
        if self.phase != "Pending":
            return ""
        conditions = (self.status and self.status.conditions) or ()
        return next(
            (each.type for each in conditions if each.status == "True" and _REJECTED in each.type), ""
        )

    @property
    def instance(self) -> str:
        """The VM that is migrated, as ``namespace/name``."""
        return f"{self.metadata.namespace or 'default'}/{self.spec.vmi_name}"

    @property
    def state(self) -> MigrationState:
        """The migration's source and target; empty until both are ready."""
        return (self.status.migration_state if self.status else None) or MigrationState()

    @property
    def source_pod(self) -> str:
        """The pod that the VM leaves, as ``namespace/name``; empty: not known yet."""
        name = self.state.source_pod
        return f"{self.metadata.namespace or 'default'}/{name}" if name else ""

    @property
    def source_node(self) -> str:
        """The node that the VM leaves; empty: not known yet."""
        return self.state.source_node or (self.metadata.annotations or {}).get(EVACUATION_ANNOTATION, "")

    @property
    def progressed_at(self) -> float | None:
        """When the phase last changed, in seconds since the epoch; the object shows no other progress."""
        transitions = (self.status and self.status.phase_transition_timestamps) or ()
        written = [
            self.metadata.creation_timestamp,
            *(each.phase_transition_timestamp for each in transitions),
        ]
        return max((moment for moment in map(from_timestamp, written) if moment is not None), default=None)


class _InstanceStatus(KubeStruct, frozen=True):
    node_name: str | None = None
    migration_state: MigrationState | None = None
    evacuation_node_name: str | None = None
    active_pods: dict[str, str] | None = None
    conditions: tuple[InstanceCondition, ...] | None = None


class _InstanceSpec(KubeStruct, frozen=True):
    eviction_strategy: str | None = None


class MovableInstance(KubeStruct, frozen=True):
    """The part of a VirtualMachineInstance that decides about its live migration."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _InstanceSpec = _InstanceSpec()
    status: _InstanceStatus = _InstanceStatus()

    @property
    def is_migratable(self) -> bool:
        """Whether KubeVirt reports that the VM can be live-migrated."""
        conditions = self.status.conditions or ()
        return any(known.type == "LiveMigratable" and known.status == "True" for known in conditions)

    @property
    def migration_state(self) -> MigrationState:
        """The last live migration of the VM; empty: there was none."""
        return self.status.migration_state or MigrationState()

    def owns(self, pod_uid: str) -> bool:
        """Whether KubeVirt's status lists the pod as this VM's; owner references can be written by anyone.

        While the status lists no pods yet, every pod counts as listed.
        """
        return not self.status.active_pods or pod_uid in self.status.active_pods

    def would_migrate(self, default_strategy: str) -> bool:
        """Whether an eviction of the VM's pod causes a live migration (or is refused), not the VM's end.

        Args:
            default_strategy: the cluster's eviction strategy, for a VM without its own.
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
    """KubeVirt's configuration."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _KubeVirtSpec = _KubeVirtSpec()

    @property
    def eviction_strategy(self) -> str:
        """The eviction strategy of VMs without their own."""
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
