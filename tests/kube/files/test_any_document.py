import io
import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.explain.build import build_report
from overbook.explain.inventory import take_inventory
from overbook.kube.files.json_documents import check_keys
from overbook.kube.files.manifests import read_documents, read_documents_of
from overbook.kube.files.sources import Source
from overbook.kube.files.yaml_documents import yaml_documents
from tests.explain.inputs import node

PIECES = st.sampled_from(
    b"kind: |Pod|List|apiVersion: v1|\n|  |- |---\n|{|}|[|]|:|,|&a |*a|<<: |!!str |\t|\0|\xff|items|metadata|"
    b"spec|? |%YAML 1.1\n|'|\"|#|...\n|containers|name: |resources|null|1e999".split(b"|")
)
KINDS = [
    ("Pod", "v1"),
    ("Deployment", "apps/v1"),
    ("VirtualMachine", "kubevirt.io/v1"),
    ("VirtualMachineInstance", "kubevirt.io/v1"),
    ("Namespace", "v1"),
    ("List", "v1"),
    ("PodList", "v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
    ("LimitRange", "v1"),
    ("ResourceQuota", "v1"),
    ("Node", "v1"),
    ("PriorityClass", "scheduling.k8s.io/v1"),
    ("RuntimeClass", "node.k8s.io/v1"),
    ("HorizontalPodAutoscaler", "autoscaling/v2"),
    ("ClusterResourceOverride", "operator.autoscaling.openshift.io/v1"),
    ("ResourceOverride", "overbook.dev/v1alpha1"),
    ("Overcommit", "overbook.dev/v1alpha1"),
    ("Template", "template.openshift.io/v1"),
    ("Rollout", "argoproj.io/v1alpha1"),
    ("Service", "serving.knative.dev/v1"),
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def read(data: bytes) -> None:
    errors: list[InvalidInput] = []
    found = take_inventory(read_documents(data, "f", errors.append), refuse=errors.append)
    build_report(found, node(), errors.append)
    try:
        take_inventory(read_documents(data, "f"))
    except InvalidInput:
        return


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    read(data)


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_pieces_of_manifests_are_read_or_refused(data: bytes) -> None:
    read(data)


@given(
    st.sampled_from(KINDS),
    VALUES,
    VALUES,
)
def test_objects_with_anything_inside_are_read_or_refused(
    kind: tuple[str, str], metadata: Any, spec: Any
) -> None:
    manifest = {"kind": kind[0], "apiVersion": kind[1], "metadata": metadata, "spec": spec, "items": spec}
    read(json.dumps({**manifest, "status": spec, "objects": spec, "parameters": metadata}).encode())


@given(VALUES)
def test_written_yaml_is_read_back(value: Any) -> None:
    # In quotes: PyYAML leaves some words plain that the API reads as booleans.
    text = yaml.safe_dump({"v": value}, allow_unicode=True, default_style='"')
    assert next(yaml_documents(text, "f"))[2] == {"v": value}


@given(VALUES)
def test_well_formed_json_has_each_key_once(value: Any) -> None:
    check_keys(json.dumps(value).encode(), "f")


@given(
    st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["", "\n", "\n---\n", " \r\n"]),
    st.sampled_from([None, 1, 4]),
    st.integers(1, 200),
)
def test_a_stream_is_read_as_its_documents(
    values: list[dict[str, Any]], between: str, indent: int | None, cut: int
) -> None:
    listed = [
        {**value, "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "n"}} for value in values
    ]
    whole = {"kind": "List", "apiVersion": "v1", "items": listed}
    data = between.join(json.dumps(one, indent=indent) for one in (*listed, whole)).encode()
    read = [one.manifest for one in read_documents_of(Source("f.json", data[:cut], io.BytesIO(data[cut:])))]
    assert read == [*listed, *listed]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_of_a_long_stream_are_read_or_refused(data: bytes, cut: int) -> None:
    data = b'{"kind":"List","apiVersion":"v1","items":[' + data
    errors: list[InvalidInput] = []
    list(read_documents_of(Source("f.json", data[:cut], io.BytesIO(data[cut:])), errors.append))
