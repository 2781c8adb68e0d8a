import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.explain.inventory import take_inventory
from overbook.kube.files.json_documents import check_keys
from overbook.kube.files.manifests import read_documents
from overbook.kube.files.yaml_documents import yaml_documents

PIECES = st.sampled_from(
    b"kind: |Pod|List|apiVersion: v1|\n|  |- |---\n|{|}|[|]|:|,|&a |*a|<<: |!!str |\t|\0|\xff|items|metadata|"
    b"spec|? |%YAML 1.1\n|'|\"|#|...\n|containers|name: |resources|null|1e999".split(b"|")
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def read(data: bytes) -> None:
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
    st.sampled_from(["Pod", "Deployment", "VirtualMachine", "Namespace", "List", "CronJob"]),
    st.sampled_from(["v1", "apps/v1", "kubevirt.io/v1", "batch/v1"]),
    VALUES,
    VALUES,
)
def test_objects_with_anything_inside_are_read_or_refused(
    kind: str, version: str, metadata: Any, spec: Any
) -> None:
    manifest = {"kind": kind, "apiVersion": version, "metadata": metadata, "spec": spec, "items": spec}
    read(json.dumps(manifest).encode())


@given(VALUES)
def test_written_yaml_is_read_back(value: Any) -> None:
    # In quotes: PyYAML leaves some words plain that the API reads as booleans.
    text = yaml.safe_dump({"v": value}, allow_unicode=True, default_style='"')
    assert next(yaml_documents(text, "f"))[2] == {"v": value}


@given(VALUES)
def test_well_formed_json_has_each_key_once(value: Any) -> None:
    check_keys(json.dumps(value).encode(), "f")
