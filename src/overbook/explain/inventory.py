"""The objects in the input that concern pods: pods, objects that create pods, and those that decide.

An object is counted once: a Deployment is left out if its ReplicaSet or pods are in the input, and a
VirtualMachine if its launcher pod is. An object of which no pod runs is not counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import (
    MIRROR_ANNOTATION,
    SOURCE_ANNOTATION,
    OwnerReference,
    Pod,
    convert,
)
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN, OVERHEAD_ANNOTATION, Release
from overbook.core.kubevirt.vm import VirtualMachineInstance
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from overbook.explain.cluster_objects import NAMESPACE_UNSET, ClusterObjects, label_of
from overbook.explain.run_state import Identity, idle_because, without_represented
from overbook.explain.waiting_vms import VM_KINDS, WaitingVms
from overbook.explain.workloads import (
    Workload,
    from_template,
    has_template,
    referred_deployment,
    service_of,
)
from overbook.kube.files.manifests import Document, Refuse, kind_of, refused

READ_ANNOTATIONS: Final = (MIRROR_ANNOTATION, SOURCE_ANNOTATION, SWAP_ANNOTATION, OVERHEAD_ANNOTATION)
"""The annotations of pods that rules read."""
if TYPE_CHECKING:
    from overbook.core.kubevirt.settings import VmSettings
    from overbook.explain.slim import SlimPods
    from overbook.explain.virtual_machines import VmWorkload

_TEMPLATES: Final = ("template.openshift.io/", "v1")
_MANY: Final = 5_000
"""So many pods are kept as they are; more are made smaller, which takes time, too."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A pod, or an object and the pod that it becomes.

    Attributes:
        where: the file and document, for messages.
        kind: the object's kind.
        name: the object as ``namespace/name``.
        pod: the pod.
        replicas: the number of such pods that the object requests; ``None``: not given.
        vmi: the virtual machine in the pod, where its manifest is in the input, with KubeVirt's defaults.
        missing: the VM's instancetype or preference, where the input does not have it; its size is unknown.
        refusal: why KubeVirt or the API server refuses the VM; empty: neither does.
        owners: the owner references of the object.
        running: whether the pod itself was in the input.
        idle: why no pod of the object runs or will run, in a word; empty: it does.
        idle_field: the field that says so.
    """

    where: str
    kind: str
    name: str
    pod: Pod
    replicas: int | None = 1
    vmi: VirtualMachineInstance | None = None
    missing: str = ""
    refusal: str = ""
    owners: tuple[OwnerReference, ...] = ()
    running: bool = True
    idle: str = ""
    idle_field: str = ""

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.pod.metadata.namespace or NAMESPACE_UNSET


class Inventory(msgspec.Struct, frozen=True, gc=False):
    """The objects in the input.

    Attributes:
        found: pods and objects that create pods, in the order of the input.
        namespaces: labels of the Namespace objects in the input, by name.
        ignored: kinds that do not concern pods, and the number of objects of each.
        idle: objects of which no pod runs or will run; they are in ``ignored``, too.
        objects: the objects that decide about pods.
        vm_settings: the settings that a KubeVirt or HyperConverged object of the input gives; ``None``: it
            has neither.
    """

    found: tuple[Found, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    ignored: Mapping[str, int]
    idle: tuple[Found, ...] = ()
    objects: ClusterObjects = msgspec.field(default_factory=ClusterObjects)
    vm_settings: "VmSettings | None" = None


def take_inventory(
    documents: Iterable[Document],
    policy: LauncherPolicy | None = None,
    running: Release = MAIN,
    refuse: Refuse = refused,
    *,
    percent_given: bool = True,
) -> Inventory:
    """Decode the objects that concern pods, without those that another object of the input represents.

    Args:
        documents: the objects.
        policy: the cluster's settings that decide the requests of a VM's pod.
        running: the KubeVirt release.
        refuse: gets the error of an object that is not valid; the others are taken.
        percent_given: whether the policy's percentage wins over that of a KubeVirt or HyperConverged object
            in the input.

    Raises:
        InvalidInput: raised by ``refuse``: an object does not fit its kind, or is in the input twice.
    """
    intake = Intake(refuse)
    for document in documents:
        intake.take(document)
    return intake.inventory(policy or LauncherPolicy(), running, percent_given=percent_given)


class Intake:
    """The objects that have been read so far. VMs become pods at the end, when all that decides is known.

    Args:
        refuse: gets the error of an object that is not valid.
        labels: whether the pods' labels and all of their annotations are needed.

    Attributes:
        objects: the objects that decide about pods.
    """

    def __init__(self, refuse: Refuse = refused, *, labels: bool = False) -> None:
        self.objects = ClusterObjects()
        self._refuse = refuse
        self._seen: dict[Identity, tuple[str, str]] = {}
        self._found: list[tuple[Identity, Found]] = []
        self._vms = WaitingVms()
        self._rollouts: dict[tuple[str, str], list[tuple[Document, int | None]]] = {}
        self._ignored: Counter[str] = Counter()
        self._labels = labels
        self._slim: SlimPods | None = None

    def take(self, document: Document) -> None:
        """Take an object."""
        try:
            kind = kind_of(document)
            if kind == "Template" and document.manifest["apiVersion"].startswith(_TEMPLATES):
                for inner in _inside(document, kind, self._refuse):
                    self._take(inner, kind_of(inner))
            else:
                self._take(document, kind)
        except InvalidInput as error:
            self._refuse(error)
        except RecursionError:
            self._refuse(InvalidInput(document.where, "too many levels", "less nesting"))

    def _take(self, document: Document, kind: str) -> None:
        manifest = document.manifest
        if isinstance(manifest, Pod):
            self._add_pod(document, manifest)
            return
        version = manifest["apiVersion"]
        label = label_of(manifest)
        where = f"{document.where}: {kind} {label}:"
        if kind == "Pod" and version == "v1":
            self._add_pod(document, convert(manifest, Pod, where))
        elif has_template(kind, version):
            referred = referred_deployment(kind, manifest)
            if referred is None:
                self._add(document, kind, _made(document, kind, label, from_template(manifest, where)))
            else:
                namespace = label.partition("/")[0]
                self._rollouts.setdefault((namespace, referred), []).append(
                    (document, manifest["spec"].get("replicas"))
                )
        elif kind in VM_KINDS and self._vms.take(document, kind, where, len(self._found)):
            pass
        elif not self.objects.take(document, kind):
            self._ignored[kind] += 1

    def _add_pod(self, document: Document, pod: Pod) -> None:
        if pod.has_ended:
            self._ignored["finished Pod"] += 1
            return
        owners = pod.metadata.owner_references or ()
        service = service_of(pod.metadata.labels)
        if service is not None:
            owners = (*owners, service)
        self._add(
            document, "Pod", Found(document.where, "Pod", pod.label, self._small(pod), owners=owners), pod
        )

    def _small(self, pod: Pod) -> Pod:
        """The pod without what no rule reads, if it is one of very many."""
        if self._labels or len(self._found) < _MANY:
            return pod
        if self._slim is None:
            from overbook.explain.slim import SlimPods  # noqa: PLC0415 - only for very many pods

            self._slim = SlimPods()
        return self._slim.pod(pod)

    def _add(self, document: Document, kind: str, one: Found, pod: Pod | None = None) -> None:
        identity = self._identity(document, kind, one, pod)
        if identity is not None:
            self._found.append((identity, one))

    def _identity(self, document: Document, kind: str, one: Found, pod: Pod | None) -> Identity | None:
        """The object's identity; ``None``: the very same object was in the input before."""
        name = one.pod.metadata.name if kind == "Pod" else one.name.partition("/")[2]
        identity = (kind, one.namespace, name)
        if name:
            uid = (pod.metadata.uid if pod is not None else _uid(document.manifest)) or ""
            before = self._seen.get(identity)
            if before is not None and uid and uid == before[1]:
                self._ignored[f"repeated {kind}"] += 1
                return None
            if before is not None:
                expected = f"each object once; it is in {before[0]}, too"
                raise InvalidInput(document.where, f"{kind} {one.name}", expected)
            self._seen[identity] = (one.where, uid)
        elif not (pod is not None and pod.metadata.generate_name) and not _generated(document.manifest):
            raise InvalidInput(f"{document.where}: {kind}: metadata.name", "", "a name")
        return identity

    @property
    def vm_settings(self) -> "VmSettings | None":
        """The settings of the KubeVirt or HyperConverged object that has been read."""
        return self._vms.settings

    def inventory(
        self, policy: LauncherPolicy, running: Release = MAIN, *, percent_given: bool = True
    ) -> Inventory:
        """The objects, without those that others represent.

        Args:
            policy: the cluster's settings that decide the requests of a VM's pod.
            running: the KubeVirt release.
            percent_given: whether the policy's percentage wins over that of an object in the input.
        """
        self._insert_vms(policy, running, percent_given=percent_given)
        self._scale_by_rollouts()
        kept = list(without_represented(self._found))
        idle = tuple(one for one in kept if one.idle)
        for one in idle:
            self._ignored[idle_words(one)] += 1
        found = tuple(one for one in kept if not one.idle) if idle else tuple(kept)
        return Inventory(
            found, self.objects.labels, dict(self._ignored), idle, self.objects, self.vm_settings
        )

    def _insert_vms(self, policy: LauncherPolicy, running: Release, *, percent_given: bool) -> None:
        """Turn the VMs into pods, at their places."""
        found, self._found = self._found, []
        start = 0

        def insert(place: int, document: Document, kind: str, made: "VmWorkload") -> None:
            nonlocal start
            self._found += found[start:place]
            start = place
            idle, field = idle_because(kind, document.manifest)
            if made.stopped and not idle:
                idle, field = "stopped", made.stopped
            label = label_of(document.manifest)
            one = Found(
                document.where,
                kind,
                label,
                made.pod,
                made.replicas,
                made.vmi,
                made.missing,
                made.refusal,
                made.owners,
                running=False,
                idle=idle,
                idle_field=field,
            )
            self._add(document, kind, one)

        self._ignored += self._vms.made(
            policy, running, self.objects, self._refuse, insert, percent_given=percent_given
        )
        self._found += found[start:]

    def _scale_by_rollouts(self) -> None:
        """Count the Deployments to which Rollouts refer as these Rollouts, which scale them."""
        for number, (identity, one) in enumerate(self._found):
            if one.kind != "Deployment":
                continue
            for document, replicas in self._rollouts.pop((one.namespace, identity[2]), ()):
                wanted = 1 if replicas is None else replicas
                state = ("idle", "0 replicas") if wanted == 0 else ("", "")
                owner = ("Rollout", one.namespace, label_of(document.manifest).partition("/")[2])
                scaled = msgspec.structs.replace(
                    one,
                    kind="Rollout",
                    name=label_of(document.manifest),
                    replicas=wanted,
                    idle=state[0],
                    idle_field=state[1],
                )
                self._found[number] = (owner, scaled)
        for without in self._rollouts.values():
            self._ignored["Rollout whose Deployment is not in the input"] += len(without)


def idle_words(one: Found) -> str:
    """The words under which an object without pods is left out: ``stopped VirtualMachine``."""
    if one.idle == "idle":
        return f"{one.kind} ({one.idle_field})"
    return f"{one.idle} {one.kind}"


def _inside(document: Document, kind: str, refuse: Refuse) -> Iterator[Document]:
    """The objects of an OpenShift Template, as ``oc process`` makes them."""
    from overbook.explain.openshift_template import processed  # noqa: PLC0415 - few inputs have one

    where = f"{document.where}: {kind} {label_of(document.manifest)}:"
    for item, inner in enumerate(processed(document.manifest, where), 1):
        one = msgspec.structs.replace(document, manifest=inner, item=item)
        try:
            kind_of(one)
        except InvalidInput as error:
            refuse(error)
            continue
        yield one


def _made(document: Document, kind: str, label: str, made: Workload) -> Found:
    idle, field = idle_because(kind, document.manifest)
    return Found(
        document.where,
        kind,
        label,
        made.pod,
        made.replicas,
        owners=made.owners,
        running=False,
        idle=idle,
        idle_field=field,
    )


def _uid(manifest: Any) -> str:
    metadata = manifest.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) else ""


def _generated(manifest: Any) -> bool:
    if isinstance(manifest, Pod):
        return True
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("generateName"))
