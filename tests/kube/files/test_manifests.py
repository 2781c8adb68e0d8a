import pytest

from overbook.core.errors import InvalidInput
from overbook.explain.inventory import take_inventory
from overbook.kube.files.manifests import read_documents

POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n"

MACHINE = (
    b"kind: VirtualMachine\napiVersion: kubevirt.io/v1\nmetadata: {name: v}\n"
    b"spec: {template: {spec: {domain: {memory: {guest: much}}}}}\n"
)


def refusal(data: bytes, name: str = "f.yaml") -> str:
    with pytest.raises(InvalidInput) as caught:
        take_inventory(read_documents(data, name))
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n", ["f.yaml, document 1, line 4", "tabs"]),
        (POD + b"---\na: [b\nc: d\n", ["document 2, line 9", "flow sequence"]),
        (b"kind: Pod\napiVersion: v1\nkind: Pod\n", ["line 3", "'kind'", "also in line 1"]),
        (b"spec:\n  a: 1\n  b: {c: 1, c: 2}\n", ["line 3", "'c'", "each key once"]),
        ("kind: Pod".encode("utf-16"), ["UTF-16", "UTF-8"]),
        (b"a: 1\nkind: \xff\n", ["line 2", "UTF-8"]),
        (b"a: 1\nkind: Pod\0", ["line 2", "NUL"]),
        (b"a: 1\nb: \x01\n", ["line 2", "control characters"]),
        (b"a: !!python/object:os.system x\n", ["python/object", "!!str"]),
        (b"a: &a [*a]\n", ["'*a'", "closed before"]),
        (b"a: *nothing\n", ["'*nothing'"]),
        (b"? [a]\n: b\n", ["key"]),
        (b"a: b\n", ["kind", "such as Pod"]),
        (b"kind: Pod\n", ["apiVersion", "such as v1"]),
        (b"- 1\n- 2\n", ["Kubernetes object"]),
        (b"just text\n", ["Kubernetes object"]),
        (b"kind: List\napiVersion: v1\nitems: 5\n", ["items", "list of objects"]),
        (b"kind: List\napiVersion: v1\nitems: [{}, 1]\n", ["item 1", "kind"]),
        (b'{"kind":"Pod","apiVersion":"v1",\n"kind":"x"}', ["line 2", "each key once"]),
        (b'{"kind":"Pod",\n"metadata":{"na', ["line 2", "cut off"]),
        (b'{"kind": }', ["line 1", "JSON"]),
        (b'{"kind":"Pod"} {}', ["trailing"]),
    ],
)
def test_an_error_names_its_place_and_what_would_be_right(data: bytes, parts: list[str]) -> None:
    message = refusal(data)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (POD.replace(b"name: a", b"name: 5"), ["metadata.name", "expected the API's type"]),
        (POD.replace(b"- name: c", b"- c"), ["spec.containers[0]"]),
        (POD.replace(b"{name: a}", b"{}"), ["metadata.name", "a name"]),
        (POD + b"    resources: []\n", ["resources"]),
        (POD + b"    resources: {requests: {memory: [1]}}\n", ["requests"]),
        (POD + b"---\n" + POD, ["document 2", "document 1", "each object once"]),
        (b"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\nspec: {}\n", ["spec.template"]),
        (b"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\n", ["spec"]),
        (MACHINE, ["default/v", "memory.guest", "'much'"]),
    ],
)
def test_an_object_that_is_not_what_its_kind_says_is_refused(data: bytes, parts: list[str]) -> None:
    message = refusal(data)
    assert all(part in message for part in [*parts, "f.yaml, document"]), message


def test_aliases_that_explode_are_refused_before_expansion() -> None:
    bomb = b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for level in range(9):
        name, below = chr(98 + level), chr(97 + level)
        bomb += f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n".encode()
    assert "fill the memory" in refusal(bomb)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"- " * 100_000, b'{"a":' * 100_000, b"{a: [" * 1000])
def test_nesting_without_end_is_refused_and_not_followed(data: bytes) -> None:
    assert "level" in refusal(data) or "cut off" in refusal(data)


def test_ten_megabytes_of_yaml_are_accepted_and_more_is_refused() -> None:
    filler = b"# " + b"x" * 1021 + b"\n"
    accepted = POD + filler * 10_200
    assert len(list(read_documents(accepted, "f.yaml"))) == 1
    assert "10 MiB" in refusal(POD + filler * 10_300)


def test_json_beyond_its_limit_is_refused() -> None:
    assert "64 MiB" in refusal(b"{" + b" " * (64 << 20) + b"}")


def test_documents_before_the_malformed_one_are_read() -> None:
    documents = read_documents(POD + b"---\na: [\n", "f.yaml")
    assert next(documents).manifest["metadata"]["name"] == "a"
    with pytest.raises(InvalidInput):
        next(documents)
