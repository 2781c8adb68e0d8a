"""The agent's settings: flags win over environment, environment over file, file over defaults."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook.core.api.heartbeat import MOST_STATUS_SECONDS
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import convert
from overbook.core.kubernetes.reserve import reserved_percent
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.writer import AskedWriter, check_asked
from overbook.core.pressure.detectors import OPTIONS
from overbook.core.pressure.detectors.detector import Detector
from overbook.core.pressure.offload import OffloadPolicy
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET, DOCUMENTED_RULESET, Group, Ruleset
from overbook.kube.files.one_document import read_configuration

Mode = Literal["Observe", "Enforce"]
OnExit = Literal["Leave", "Restore"]
LocalLastResort = Literal["None", "Kill"]


class KubeletAccess(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How to reach this node's kubelet, which lists its pods while the API server does not answer.

    Attributes:
        server: ``https://ADDRESS:10250``; empty: the kubelet is not asked.
        ca_file: PEM file of the authority that signed its certificate; empty: the cluster's authority.
        insecure_skip_tls_verify: trust any certificate, for kubelets that sign their own.
    """

    server: str = ""
    ca_file: str = ""
    insecure_skip_tls_verify: bool = False


class ReservesSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The memory that is kept from lower QoS classes.

    Attributes:
        qos_reserved_memory_percent: percentage of the memory that higher classes request, 0 to 100; 0:
            nothing is kept and nothing is written.
    """

    qos_reserved_memory_percent: int = 0

    def check(self) -> None:
        """Check the percentage.

        Raises:
            InvalidInput: the percentage is out of range.
        """
        percent = self.qos_reserved_memory_percent
        if not 0 <= percent <= 100:
            raise InvalidInput("reserves.qosReservedMemoryPercent", percent, "a number from 0 to 100")


class ZswapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What zswap may keep of each container that may swap.

    Attributes:
        max_percent: the most of its allowance that may be in RAM, compressed; 100: nothing is written.
        writeback: whether its pages may go on to the swap area; true: nothing is written.
    """

    max_percent: int = 100
    writeback: bool = True

    @property
    def limits_anything(self) -> bool:
        """Whether anything is to be written."""
        return self.max_percent < 100 or not self.writeback

    def check(self) -> None:
        """Check the percentage.

        Raises:
            InvalidInput: the percentage is out of range, or nothing could be swapped.
        """
        if not 0 <= self.max_percent <= 100:
            raise InvalidInput("zswap.maxPercent", self.max_percent, "a number from 0 to 100")
        if self.max_percent == 0 and not self.writeback:
            raise InvalidInput("zswap.maxPercent", 0, "more than 0 without writeback: else nothing can swap")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All settings of the agent.

    Attributes:
        mode: ``Observe`` decides and reports but changes nothing.
        node_name: name of this node.
        own_pod_uid: UID of the agent's own pod, which is never evicted.
        own_namespace: namespace of controller and webhook; Overbook's pods there are never evicted.
        fsroot: directory of the host's file system.
        manifests: directory of pod manifests.
        kube: whether pods come from the API server, and the agent reports there.
        kubeconfig: kubeconfig file; ``None``: the pod's service account, or the usual file.
        context: context of the kubeconfig; ``None``: the current one.
        kubelet: how to reach this node's kubelet.
        last_resort: ``Kill``: kill a pod here while the API server does not answer.
        last_resort_after_seconds: for how long the API server has not answered before that.
        calm_seconds: time without a rule that fires after which a request is withdrawn and the taint removed.
        heartbeat_seconds: how often the node's status is written when nothing changes. Its Lease is renewed
            every 20 seconds, or as often if this is shorter.
        interval_seconds: time from tick to tick.
        swap: which pods may swap, and how much.
        reserves: the memory that is kept from lower QoS classes.
        zswap: what zswap may keep of each container.
        swap_writer: the writer of swap limits; ``auto``: chosen by what the node has.
        ruleset: when the node is under pressure, and the order of the candidates.
        reclaim: what is swapped out before a pod is evicted.
        offload: what is swapped out ahead of need.
        grace_seconds: the longest grace period of a pod, whatever its manifest says.
        on_exit: whether the written limits are restored when the agent stops.
        listen: address and port of metrics, decisions and health; empty: none.
        probe_listen: a further address and port, of health alone; empty: none.
        record: file for samples and decisions.
        record_limit_bytes: largest size of this file.
        lock_memory: keep the agent's own memory out of swap.
        verbosity: 0: warnings; 1: also actions; 2: also details.
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
    heartbeat_seconds: float = 300.0
    interval_seconds: float = 1.0
    swap: SwapPolicy = SwapPolicy()
    reserves: ReservesSettings = ReservesSettings()
    zswap: ZswapSettings = ZswapSettings()
    swap_writer: AskedWriter = "auto"
    ruleset: Ruleset = DEFAULT_RULESET
    reclaim: ReclaimPolicy = ReclaimPolicy()
    offload: OffloadPolicy = OffloadPolicy()
    grace_seconds: float = 10.0
    on_exit: OnExit = "Leave"
    listen: str = "127.0.0.1:9713"
    probe_listen: str = ""
    record: str | None = None
    record_limit_bytes: int = 256 * 2**20
    lock_memory: bool = True
    verbosity: int = 1

    def check(self) -> None:
        """Check all settings.

        Raises:
            InvalidInput: a setting out of range.
        """
        # Samples a minute apart would each count as a gap, so that the rules never had an average.
        if not 0.1 <= self.interval_seconds <= 30:
            raise InvalidInput("intervalSeconds", self.interval_seconds, "0.1 to 30 seconds")
        if not 0 <= self.grace_seconds <= 3600:
            raise InvalidInput("graceSeconds", self.grace_seconds, "0 to 3600 seconds")
        if not 0 <= self.last_resort_after_seconds <= 3600:
            raise InvalidInput("lastResortAfterSeconds", self.last_resort_after_seconds, "0 to 3600 seconds")
        if not 1 <= self.calm_seconds <= 3600:
            raise InvalidInput("calmSeconds", self.calm_seconds, "1 to 3600 seconds")
        if not 1 <= self.heartbeat_seconds <= MOST_STATUS_SECONDS:
            raise InvalidInput("heartbeatSeconds", self.heartbeat_seconds, "1 to 3600 seconds")
        if self.kube and self.manifests is not None:
            raise InvalidInput("--manifests", self.manifests, "no --manifests with --kube")
        self.swap.check()
        self.reserves.check()
        self.zswap.check()
        check_asked(self.swap_writer, self.swap.eligibility, self.swap.allowance)
        self.ruleset.check()
        self.reclaim.check()
        self.offload.check()


ENVIRONMENT: Final[Mapping[str, tuple[str, type]]] = {
    **{option.name.upper(): (option.name, float) for _, option in OPTIONS},
    "VERBOSITY": ("verbosity", int),
    "FSROOT": ("fsroot", str),
    "NODE_NAME": ("node_name", str),
    "POD_UID": ("own_pod_uid", str),
    "POD_NAMESPACE": ("own_namespace", str),
}
"""The variables of wasp-agent and of the agent's own pod, with the setting that each stands for."""

IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
"""The variable that is set in every pod: then pods come from the API server, unless manifests are given."""
RULE_FIELDS: Final = frozenset(Ruleset.__struct_encode_fields__)
"""The fields by which a file without a kind is recognised as a ruleset."""
_IN_SWAP: Final = {"eligibility", "allowance", "pooled_share", "percent"}
_IN_KUBELET: Final = {"kubelet_server": "server"}
_IN_ZSWAP: Final = {"zswap_max": "max_percent"}
_IN_RULESET: Final = {"rank"}
_IN_RECLAIM: Final = {"enabled"}
_IN_OFFLOAD: Final = {"offload": "mode"}
_IN_DETECTORS: Final = {option.name: (kind, option) for kind, option in OPTIONS}


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> AgentSettings:
    """Load all settings from their three sources.

    Args:
        path: a YAML or JSON file with the fields of :class:`AgentSettings`, or ``None``. The file may have an
            ``apiVersion`` and the kind ``AgentConfiguration``.
        environment: the process's environment.
        flags: the flags of the command line by field name, only those that were given.

    Raises:
        InvalidInput: a value is not valid, or a field does not exist.
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
    """Make settings from the fields of a file; a ruleset without rules gets the shipped ones.

    YAML takes ``On`` and ``Off`` without quotes for booleans.

    Raises:
        InvalidInput: a field does not exist or has the wrong type.
    """
    offload = fields.get("offload")
    if isinstance(offload, dict) and isinstance(offload.get("mode"), bool):
        fields = {**fields, "offload": {**offload, "mode": "On" if offload["mode"] else "Off"}}
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
    """Return the settings with one of them changed, by its field name, in whichever part it is."""
    replace = msgspec.structs.replace
    if field in _IN_SWAP:
        return replace(settings, swap=replace(settings.swap, **{field: value}))
    if field in _IN_KUBELET:
        return replace(settings, kubelet=replace(settings.kubelet, **{_IN_KUBELET[field]: value}))
    if field == "qos_reserved":
        return replace(
            settings, reserves=ReservesSettings(qos_reserved_memory_percent=reserved_percent(value))
        )
    if field in _IN_ZSWAP:
        return replace(settings, zswap=replace(settings.zswap, **{_IN_ZSWAP[field]: value}))
    if field in _IN_RULESET:
        return replace(settings, ruleset=replace(settings.ruleset, **{field: value}))
    if field in _IN_RECLAIM:
        return replace(settings, reclaim=replace(settings.reclaim, **{field: value}))
    if field in _IN_OFFLOAD:
        return replace(settings, offload=replace(settings.offload, **{_IN_OFFLOAD[field]: value}))
    if field in _IN_DETECTORS:
        kind, option = _IN_DETECTORS[field]
        changed = {option.field: value, **({option.instead_of: None} if option.instead_of else {})}
        return replace(settings, ruleset=_detectors_changed(settings.ruleset, kind, changed))
    return replace(settings, **{field: value})


def _detectors_changed(ruleset: Ruleset, kind: type[Detector], changed: Mapping[str, Any]) -> Ruleset:
    replace = msgspec.structs.replace

    def group_changed(group: Group) -> Group:
        return Group(all=tuple(replace(d, **changed) if isinstance(d, kind) else d for d in group.all))

    rules = tuple(replace(rule, any=tuple(map(group_changed, rule.any))) for rule in ruleset.rules)
    return replace(ruleset, rules=rules)


DEFAULT: Final = "default"
"""The name of the shipped ruleset, where a file may be named."""
DOCUMENTED: Final = "documented"
"""The name of the two documented rules with the order of wasp-agent, without reclaim."""


def load_ruleset(path: str | None, flags: Mapping[str, Any]) -> tuple[Ruleset, ReclaimPolicy]:
    """Load a ruleset, and the policy of what is reclaimed before a pod is evicted.

    Args:
        path: a file of kind ``Ruleset`` or ``AgentConfiguration``; ``default`` or ``None``: the shipped one;
            ``documented``: the documented rules.
        flags: single thresholds that override the file's, by field name.

    Raises:
        InvalidInput: the file or a value is not valid.
        OSError: the file cannot be read.
    """
    settings = AgentSettings()
    if path == DOCUMENTED:
        settings = AgentSettings(ruleset=DOCUMENTED_RULESET, reclaim=ReclaimPolicy(enabled=False))
    elif path is not None and path != DEFAULT:
        kind, fields = read_configuration(path, ("Ruleset", "AgentConfiguration"))
        if kind == "Ruleset" or (kind is None and fields.keys() <= RULE_FIELDS):
            fields = {"ruleset": fields}
        settings = from_fields(fields, path)
    for field, value in flags.items():
        settings = with_setting(settings, field, value)
    settings.check()
    return settings.ruleset, settings.reclaim
