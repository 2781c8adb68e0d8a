"""The agent's settings: flags win over environment, environment over file, file over defaults."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import convert
from overbook.core.kubernetes.reserve import reserved_percent
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.writer import AskedWriter, check_asked
from overbook.core.pressure.detectors import OPTIONS
from overbook.core.pressure.detectors.detector import Detector
from overbook.core.pressure.engine import ReclaimPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Group, Ruleset
from overbook.kube.files.one_document import read_configuration

Mode = Literal["Observe", "Enforce"]
OnExit = Literal["Leave", "Restore"]
LocalLastResort = Literal["None", "Kill"]


class KubeletAccess(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The kubelet of this node, which knows its pods where the API server cannot be asked.

    Attributes:
        server: ``https://ADDRESS:10250``; empty: it is not asked.
        ca_file: who signed its certificate, PEM; empty: the cluster's own authority.
        insecure_skip_tls_verify: believe any certificate: for kubelets that sign their own.
    """

    server: str = ""
    ca_file: str = ""
    insecure_skip_tls_verify: bool = False


class ReservesSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is kept from lower QoS classes.

    Attributes:
        qos_reserved_memory_percent: of the memory that higher classes request, 0 to 100; 0: nothing is
            kept and nothing is written.
    """

    qos_reserved_memory_percent: int = 0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            InvalidInput: the percentage is out of range.
        """
        percent = self.qos_reserved_memory_percent
        if not 0 <= percent <= 100:
            raise InvalidInput("reserves.qosReservedMemoryPercent", percent, "a number from 0 to 100")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Everything that can be set.

    Attributes:
        mode: ``Observe`` decides and reports but changes nothing.
        node_name: how this node is called in what is reported.
        own_pod_uid: the agent's own pod, which it never asks to go.
        own_namespace: where Overbook is installed: none of its pods there is ever asked to go.
        fsroot: where the host's file system is.
        manifests: a directory of pod manifests.
        kube: pods come from the API server, and the agent reports there.
        kubeconfig: how to reach it; ``None``: the pod's own account, or the usual file.
        context: of the kubeconfig; ``None``: its current one.
        kubelet: who else knows this node's pods.
        last_resort: ``Kill`` ends a guest here where the API server is out of reach.
        last_resort_after_seconds: out of reach for so long.
        calm_seconds: without a rule that holds for so long a request is withdrawn and the taint removed.
        heartbeat_seconds: how often the node's status is written when nothing changes.
        interval_seconds: from tick to tick.
        swap: who may swap and how much.
        reserves: what is kept from lower QoS classes.
        swap_writer: who writes the limits; ``auto``: by what is there.
        ruleset: when the node is in trouble and who goes first.
        reclaim: what is tried before a guest goes.
        grace_seconds: the most that a guest gets to end by itself, whatever its manifest says.
        on_exit: what becomes of the limits that were written when the agent stops.
        listen: address and port of metrics and health; empty: none.
        record: a file for samples and decisions.
        record_limit_bytes: it does not grow beyond this.
        lock_memory: keep the agent's own memory out of swap.
        verbosity: 0 quiet, 1 what is done, 2 details.
    """

    mode: Mode = "Enforce"
    node_name: str = ""
    own_pod_uid: str = ""
    own_namespace: str = "overbook"
    fsroot: str = "/"
    manifests: str | None = None
    kube: bool = False
    kubeconfig: str | None = None
    context: str | None = None
    kubelet: KubeletAccess = KubeletAccess()
    last_resort: LocalLastResort = "None"
    last_resort_after_seconds: float = 10.0
    calm_seconds: float = 30.0
    heartbeat_seconds: float = 20.0
    interval_seconds: float = 1.0
    swap: SwapPolicy = SwapPolicy()
    reserves: ReservesSettings = ReservesSettings()
    swap_writer: AskedWriter = "auto"
    ruleset: Ruleset = DEFAULT_RULESET
    reclaim: ReclaimPolicy = ReclaimPolicy()
    grace_seconds: float = 10.0
    on_exit: OnExit = "Leave"
    listen: str = "127.0.0.1:9713"
    record: str | None = None
    record_limit_bytes: int = 256 * 2**20
    lock_memory: bool = True
    verbosity: int = 1

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInput: a setting out of range.
        """
        # Of samples a minute apart each would look like a gap: the rules would never have an average.
        if not 0.1 <= self.interval_seconds <= 30:
            raise InvalidInput("intervalSeconds", self.interval_seconds, "0.1 to 30 seconds")
        if not 0 <= self.grace_seconds <= 3600:
            raise InvalidInput("graceSeconds", self.grace_seconds, "0 to 3600 seconds")
        if not 0 <= self.last_resort_after_seconds <= 3600:
            raise InvalidInput("lastResortAfterSeconds", self.last_resort_after_seconds, "0 to 3600 seconds")
        if not 1 <= self.calm_seconds <= 3600:
            raise InvalidInput("calmSeconds", self.calm_seconds, "1 to 3600 seconds")
        # Twice missed, an agent is not yet stale to the controller.
        if not 1 <= self.heartbeat_seconds <= 30:
            raise InvalidInput("heartbeatSeconds", self.heartbeat_seconds, "1 to 30 seconds")
        if self.kube and self.manifests is not None:
            raise InvalidInput("--manifests", self.manifests, "nothing where pods come from the API (--kube)")
        self.swap.check()
        self.reserves.check()
        check_asked(self.swap_writer, self.swap.eligibility, self.swap.allowance)
        self.ruleset.check()
        self.reclaim.check()


ENVIRONMENT: Final[Mapping[str, tuple[str, type]]] = {
    **{option.name.upper(): (option.name, float) for _, option in OPTIONS},
    "VERBOSITY": ("verbosity", int),
    "FSROOT": ("fsroot", str),
    "NODE_NAME": ("node_name", str),
    "POD_UID": ("own_pod_uid", str),
    "POD_NAMESPACE": ("own_namespace", str),
}
"""The original agent's variables and those of our own pod, and the setting that each stands for."""

IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
"""Set in every pod: then the API server is where pods come from, unless manifests are given."""
RULE_FIELDS: Final = frozenset(Ruleset.__struct_encode_fields__)
"""By which a file that does not say its kind is known as a ruleset."""
_IN_SWAP: Final = {"eligibility", "allowance", "pooled_share", "percent"}
_IN_KUBELET: Final = {"kubelet_server": "server"}
_IN_RULESET: Final = {"rank"}
_IN_RECLAIM: Final = {"enabled"}
_IN_DETECTORS: Final = {option.name: (kind, option.field) for kind, option in OPTIONS}


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> AgentSettings:
    """All settings from their three sources.

    Args:
        path: a YAML or JSON file with the fields of :class:`AgentSettings`, or ``None``. It may say that it
            is of kind ``AgentConfiguration`` and of which ``apiVersion``.
        environment: the process's.
        flags: what was given on the command line, by field name; absent where it was not given.

    Raises:
        InvalidInput: a value that cannot be, or a field that does not exist.
        OSError: the file cannot be read.
    """
    settings = _from_file(path) if path else AgentSettings()
    for variable, (field, kind) in ENVIRONMENT.items():
        text = environment.get(variable)
        if text:
            settings = with_setting(settings, field, _converted(variable, text, kind))
    for field, value in flags.items():
        settings = with_setting(settings, field, value)
    if settings.manifests is None and IN_CLUSTER in environment:
        settings = with_setting(settings, "kube", True)
    settings.check()
    return settings


def _from_file(path: str) -> AgentSettings:
    return from_fields(read_configuration(path, ("AgentConfiguration",))[1], path)


def from_fields(fields: dict[str, Any], label: str) -> AgentSettings:
    """Settings from the fields of a file; a ruleset without rules has the shipped ones.

    Raises:
        InvalidInput: a field does not exist or has the wrong type.
    """
    ruleset = fields.get("ruleset")
    if isinstance(ruleset, dict) and "rules" not in ruleset:
        fields = {**fields, "ruleset": {**ruleset, "rules": msgspec.to_builtins(DEFAULT_RULESET.rules)}}
    return convert(fields, AgentSettings, label)


def _converted(variable: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidInput(f"environment variable {variable}", text, "a number") from error


def with_setting(settings: AgentSettings, field: str, value: Any) -> AgentSettings:
    """The settings with one changed, by its field name, wherever it lives."""
    replace = msgspec.structs.replace
    if field in _IN_SWAP:
        return replace(settings, swap=replace(settings.swap, **{field: value}))
    if field in _IN_KUBELET:
        return replace(settings, kubelet=replace(settings.kubelet, **{_IN_KUBELET[field]: value}))
    if field == "qos_reserved":
        return replace(
            settings, reserves=ReservesSettings(qos_reserved_memory_percent=reserved_percent(value))
        )
    if field in _IN_RULESET:
        return replace(settings, ruleset=replace(settings.ruleset, **{field: value}))
    if field in _IN_RECLAIM:
        return replace(settings, reclaim=replace(settings.reclaim, **{field: value}))
    if field in _IN_DETECTORS:
        kind, part = _IN_DETECTORS[field]
        return replace(settings, ruleset=_detectors_changed(settings.ruleset, kind, part, value))
    return replace(settings, **{field: value})


def _detectors_changed(ruleset: Ruleset, kind: type[Detector], field: str, value: float) -> Ruleset:
    replace = msgspec.structs.replace

    def group_changed(group: Group) -> Group:
        return Group(all=tuple(replace(d, **{field: value}) if isinstance(d, kind) else d for d in group.all))

    rules = tuple(replace(rule, any=tuple(map(group_changed, rule.any))) for rule in ruleset.rules)
    return replace(ruleset, rules=rules)


DEFAULT: Final = "default"


def load_ruleset(path: str | None, flags: Mapping[str, Any]) -> tuple[Ruleset, ReclaimPolicy]:
    """A ruleset, and what is tried before a guest goes.

    Args:
        path: a file of kind ``Ruleset`` or ``AgentConfiguration``; ``default`` or ``None``: the shipped one.
        flags: single thresholds that win over it, by field name.

    Raises:
        InvalidInput: the file or a value makes no sense.
        OSError: the file cannot be read.
    """
    settings = AgentSettings()
    if path is not None and path != DEFAULT:
        kind, fields = read_configuration(path, ("Ruleset", "AgentConfiguration"))
        if kind == "Ruleset" or (kind is None and fields.keys() <= RULE_FIELDS):
            fields = {"ruleset": fields}
        settings = from_fields(fields, path)
    for field, value in flags.items():
        settings = with_setting(settings, field, value)
    settings.check()
    return settings.ruleset, settings.reclaim
