"""OpenShift's admission of a pod by SecurityContextConstraints, as far as the fields of Overbook's pods go.

Written after the behaviour of `openshift/apiserver-library-go` (pkg/securitycontextconstraints, a8019f3): the
order of the constraints, what each fills in, and what it refuses. Not here: FlexVolumes, updates, Windows.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from overbook.deploy.pod_parts import REQUIRED_SCC
from tests.deploy import openshift_values as values

Manifest = dict[str, Any]
_POINTS: Final = {
    "RunAsAny": 40_000,
    "MustRunAsNonRoot": 30_000,
    "MustRunAsRange": 20_000,
    "MustRunAs": 10_000,
}
_TRIVIAL_VOLUMES: Final = {"secret", "configMap", "emptyDir", "downwardAPI", "projected", "none"}
_PROFILES: Final = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}


class Admitted(NamedTuple):
    """A pod was admitted, and changed.

    Attributes:
        scc: the constraint's name.
        pod: the pod as it is stored.
    """

    scc: str
    pod: Manifest


class RefusedError(Exception):
    """No constraint admits the pod; the text says why, constraint by constraint."""


def admit(
    pod: Manifest, namespace: Manifest, sccs: Sequence[Manifest], granted: Collection[str] = ()
) -> Admitted:
    """Admit a pod that a workload's controller creates.

    Args:
        pod: with its account.
        namespace: with OpenShift's annotations.
        sccs: all constraints of the cluster.
        granted: names of constraints that RBAC lets the pod's account use.
    """
    required = pod["metadata"].get("annotations", {}).get(REQUIRED_SCC)
    offered = [scc for scc in sccs if required in {None, scc["metadata"]["name"]}]
    if not offered:
        raise RefusedError(f'failed to retrieve the required SCC "{required}"')
    account = pod["spec"].get("serviceAccountName", "default")
    user = f"system:serviceaccount:{namespace['metadata']['name']}:{account}"
    reasons: list[str] = []
    for scc in sorted(offered, key=_order):
        name = scc["metadata"]["name"]
        if user not in scc.get("users", []) and name not in granted:
            reasons.append(f"{name}: not usable by {user}")
            continue
        filled = copy.deepcopy(pod)
        faults = list(_apply(filled, values.of_namespace(scc, namespace)))
        if not faults:
            return Admitted(name, filled)
        reasons += [f"{name}: {fault}" for fault in faults]
    raise RefusedError("\n".join(reasons))


def _order(scc: Manifest) -> tuple[int, int, str]:
    """Sort by priority, then the most restrictive first, then by name."""
    return -(scc.get("priority") or 0), restrictiveness(scc), scc["metadata"]["name"]


def restrictiveness(scc: Manifest) -> int:
    """Return the points of a constraint; fewer are more restrictive."""
    points = 1_600_000 if scc.get("allowPrivilegedContainer") else 0
    points += 800_000 if scc.get("allowHostPorts") else 0
    points += 400_000 if scc.get("allowHostNetwork") else 0
    volumes = set(scc.get("volumes") or ())
    if volumes & {"hostPath", "*"}:
        points += 200_000
    elif volumes - _TRIVIAL_VOLUMES:
        points += 100_000
    points += _POINTS[scc["seLinuxContext"]["type"]] + _POINTS[scc["runAsUser"]["type"]]
    allowed, dropped = scc.get("allowedCapabilities") or (), scc.get("requiredDropCapabilities") or ()
    capabilities = 5_000 + 300 * len(scc.get("defaultAddCapabilities") or ())
    capabilities += 4_000 if {"*", "ALL"} & set(allowed) else 10 * len(allowed)
    capabilities -= 3_000 if "ALL" in dropped else 50 * len(dropped)
    return points + min(9_999, max(0, capabilities))


def _apply(pod: Manifest, scc: Manifest) -> Iterator[str]:
    """Fill in what the pod leaves open, and yield what the constraint refuses."""
    spec = pod["spec"]
    own = spec.setdefault("securityContext", {})
    yield from _groups(own, scc)
    options = _selinux(own, scc)
    if options is not None:
        own["seLinuxOptions"] = options
    profiles = scc.get("seccompProfiles") or []
    named = [each for each in profiles if each != "*"]
    if "seccompProfile" not in own and named:
        own["seccompProfile"] = {"type": next(key for key, text in _PROFILES.items() if text == named[0])}
    yield from _seccomp(own.get("seccompProfile"), profiles)
    yield from _selinux_faults(own.get("seLinuxOptions"), scc)
    for field, allowed in (
        ("hostNetwork", "allowHostNetwork"),
        ("hostPID", "allowHostPID"),
        ("hostIPC", "allowHostIPC"),
    ):
        if spec.get(field) and not scc.get(allowed):
            yield f"{field} is not allowed"
    for sysctl in own.get("sysctls", ()):
        if sysctl["name"] not in (scc.get("allowedUnsafeSysctls") or ()):
            yield f"sysctl {sysctl['name']} is not allowed"
    yield from _volumes(spec, scc)
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for fault in _container(container, own, scc):
            yield f"container {container['name']}: {fault}"


def _groups(own: Manifest, scc: Manifest) -> Iterator[str]:
    strategy = scc["supplementalGroups"]
    if "supplementalGroups" not in own and strategy["type"] == "MustRunAs":
        own["supplementalGroups"] = [strategy["ranges"][0]["min"]]
    if "fsGroup" not in own and scc["fsGroup"]["type"] == "MustRunAs":
        own["fsGroup"] = scc["fsGroup"]["ranges"][0]["min"]
    for field, groups in (
        ("supplementalGroups", own.get("supplementalGroups", [])),
        ("fsGroup", [own["fsGroup"]] if "fsGroup" in own else []),
    ):
        if scc[field]["type"] == "MustRunAs":
            for group in groups:
                if not any(each["min"] <= group <= each["max"] for each in scc[field]["ranges"]):
                    yield f"{field}: {group} is not an allowed group"


def _volumes(spec: Manifest, scc: Manifest) -> Iterator[str]:
    allowed = set(scc.get("volumes") or ())
    for volume in spec.get("volumes", ()):
        (kind,) = volume.keys() - {"name"}
        if not allowed & {"*", kind} or (kind == "hostPath" and not scc.get("allowHostDirVolumePlugin")):
            yield f"volume {volume['name']}: {kind} is not allowed"


def _container(container: Manifest, pod: Manifest, scc: Manifest) -> Iterator[str]:
    own = container.setdefault("securityContext", {})
    effective: Callable[[str], Any] = lambda field: own.get(field, pod.get(field))  # noqa: E731 - one expression
    strategy = scc["runAsUser"]
    if effective("runAsUser") is None:
        filled = {"MustRunAs": strategy.get("uid"), "MustRunAsRange": strategy.get("uidRangeMin")}
        if (user := filled.get(strategy["type"])) is not None:
            own["runAsUser"] = user
    yield from _user(effective("runAsUser"), effective("runAsNonRoot"), strategy)
    yield from _selinux_faults(effective("seLinuxOptions"), scc)
    yield from _seccomp(effective("seccompProfile"), scc.get("seccompProfiles") or [])
    yield from _capabilities(own, scc)
    if own.get("privileged") and not scc.get("allowPrivilegedContainer"):
        yield "privileged is not allowed"
    if any(port.get("hostPort") for port in container.get("ports", ())) and not scc.get("allowHostPorts"):
        yield "host ports are not allowed"
    if scc.get("readOnlyRootFilesystem") and not own.setdefault("readOnlyRootFilesystem", True):
        yield "readOnlyRootFilesystem must be true"
    if scc.get("allowPrivilegeEscalation") is False and own.setdefault("allowPrivilegeEscalation", False):
        yield "allowPrivilegeEscalation is not allowed"


def _user(user: int | None, non_root: bool | None, strategy: Manifest) -> Iterator[str]:
    match strategy["type"]:
        case "MustRunAs" if user != strategy["uid"]:
            yield f"runAsUser: {user}: must be {strategy['uid']}"
        case "MustRunAsRange":
            least, most = strategy["uidRangeMin"], strategy["uidRangeMax"]
            if user is None or not least <= user <= most:
                yield f"runAsUser: {user}: must be in the ranges: [{least}, {most}]"
        case "MustRunAsNonRoot" if user == 0 or (user is None and non_root is False):
            yield "running with the root UID is forbidden"


def _selinux(own: Manifest, scc: Manifest) -> Manifest | None:
    """Return the options that a pod or container without any gets."""
    strategy = scc["seLinuxContext"]
    if "seLinuxOptions" in own or strategy["type"] != "MustRunAs":
        return None
    return dict(strategy["seLinuxOptions"])


def _selinux_faults(options: Mapping[str, str] | None, scc: Manifest) -> Iterator[str]:
    strategy = scc["seLinuxContext"]
    if strategy["type"] != "MustRunAs":
        return
    for field in ("level", "role", "type", "user"):
        wanted, got = strategy["seLinuxOptions"].get(field, ""), (options or {}).get(field, "")
        if values.parts(wanted) != values.parts(got):
            yield f"seLinuxOptions.{field}: {got!r}: must be {wanted!r}"


def _seccomp(profile: Mapping[str, str] | None, allowed: Collection[str]) -> Iterator[str]:
    name = _PROFILES.get(profile["type"], f"localhost/{profile.get('localhostProfile')}") if profile else ""
    if "*" in allowed or name in allowed or (not name and not allowed):
        return
    yield f"seccomp: {name or 'none'} is not an allowed profile: {sorted(allowed)}"


def _capabilities(own: Manifest, scc: Manifest) -> Iterator[str]:
    wanted = own.setdefault("capabilities", {})
    dropped = list(wanted.get("drop", ()))
    added = [
        *wanted.get("add", ()),
        *(e for e in scc.get("defaultAddCapabilities") or () if e not in dropped),
    ]
    required = [each for each in scc.get("requiredDropCapabilities") or () if each not in dropped]
    wanted.update(add=added, drop=[*dropped, *required])
    allowed = set(scc.get("allowedCapabilities") or ())
    if "*" not in allowed:
        for each in added:
            if each not in allowed and each not in (scc.get("defaultAddCapabilities") or ()):
                yield f"capability {each} may not be added"
