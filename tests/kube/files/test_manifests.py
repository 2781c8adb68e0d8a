import io
import json

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.explain.inventory import take_inventory
from overbook.kube.files.manifests import read_documents, read_documents_of
from overbook.kube.files.sources import Source

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
        (b'{"kind":"Pod"} {}', ["document 1", "apiVersion"]),
        (b'{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"n"}}\n{"kind" 5}', ["line 2", "JSON"]),
        (b'{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"n"}}\n{"kind":', ["line 2", "cut off"]),
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


def test_an_object_of_more_than_64_mib_is_refused() -> None:
    long = Source("f.json", b'{"a":"', io.BytesIO(b"x" * (65 << 20) + b'"}'))
    with pytest.raises(InvalidInput, match="64 MiB"):
        list(read_documents_of(long))


def test_documents_before_the_malformed_one_are_read() -> None:
    documents = read_documents(POD + b"---\na: [\n", "f.yaml")
    assert next(documents).manifest["metadata"]["name"] == "a"
    with pytest.raises(InvalidInput):
        next(documents)


def named(*names: str) -> list[bytes]:
    return [
        json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": []}}
        ).encode()
        for name in names
    ]


def read(data: bytes, name: str = "f.yaml") -> tuple[list[str], list[str]]:
    """Return the names of the objects, and the errors of what is no object."""
    errors: list[InvalidInput] = []
    documents = list(read_documents(data, name, errors.append))
    names = []
    for document in documents:
        manifest = document.manifest
        names.append(manifest.metadata.name if isinstance(manifest, Pod) else manifest["metadata"]["name"])
    return names, [str(error) for error in errors]


ONE, TWO, THREE = named("one", "two", "three")
LIST_OF_TWO = b'{"apiVersion":"v1","items":[' + ONE + b"," + TWO + b'],"kind":"List"}'


@pytest.mark.parametrize(
    "data",
    [
        ONE + TWO + THREE,
        ONE + b"\n" + TWO + b"\n\n" + THREE + b"\n",
        ONE + b"\n---\n" + TWO + b"\n---\n" + THREE,
        b"---\n" + ONE + b"\n---\n" + TWO + b"\n---\n" + THREE,
        ONE + b"\r\n---\r\n" + TWO + b"\r\n" + THREE,
        ONE + b"\n\xef\xbb\xbf" + TWO + b"\n---\n" + THREE + b"\n---\n",
        LIST_OF_TWO + THREE,
        LIST_OF_TWO + b"\n---\n" + THREE,
        ONE + b"\n---\n" + TWO + b"\n---\n" + POD.replace(b"{name: a}", b"{name: three}"),
        POD.replace(b"{name: a}", b"{name: one}") + b"---\n" + TWO + b"\n---\n" + THREE,
    ],
)
@pytest.mark.parametrize("name", ["f.json", "f.yaml", "standard input"])
def test_every_form_that_kubectl_reads_is_read(data: bytes, name: str) -> None:
    assert read(data, name) == (["one", "two", "three"], [])


def test_a_malformed_document_does_not_end_the_reading() -> None:
    names, errors = read(POD + b"---\na: [b\nc: d\n---\n" + POD.replace(b"{name: a}", b"{name: b}"))
    assert names == ["a", "b"]
    assert len(errors) == 1
    assert "f.yaml, document 2, line 9" in errors[0]
    names, errors = read(POD + b"---\nkind: x\n\tb: 1\n--- # next\n" + POD + b"---\n- 1\n---\n" + POD)
    assert names == ["a", "a", "a"]
    assert ["document 2" in errors[0], "document 4" in errors[1]] == [True, True]


def test_malformed_json_does_not_end_the_reading_either() -> None:
    names, errors = read(ONE + b'\n{"kind": oops}\n' + TWO + b"\n---\n{\n---\n" + THREE, "f.json")
    assert names == ["one", "two", "three"]
    assert ["line 2" in errors[0], "line 6" in errors[1]] == [True, True], errors


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        (b'{"kind":"Pod","metadata":{"name":"\xff"}}', "UTF-8"),
        (b'{"kind": }', "JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "level"),
        (b'{"kind":"Pod","kind":"Pod"}', "each key once"),
        (b"{", "JSON"),
    ],
)
@pytest.mark.parametrize("between", [b"\n", b"\n---\n"])
def test_a_malformed_first_document_does_not_hide_others(bad: bytes, part: str, between: bytes) -> None:
    names, errors = read(bad + between + TWO + between + THREE, "f.json")
    assert names == ["two", "three"]
    assert len(errors) == 1
    assert part in errors[0]


def test_one_bad_item_of_a_list_is_named_alone() -> None:
    names, errors = read(LIST_OF_TWO.replace(TWO, b'{"kind":"x"},5,' + TWO))
    assert names == ["one", "two"]
    assert ["item 2" in errors[0], "item 3" in errors[1]] == [True, True]


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("typed", [False, True])
def test_a_list_of_any_length_is_read_item_by_item(indent: int | None, typed: bool) -> None:
    items = [json.loads(one) for one in named(*(f"p{number}" for number in range(600)))]
    items[7]["metadata"]["annotations"] = {"text": '},\n        {"a": "\\\\" ] }'}
    items[9] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "p9"}}
    if typed:
        items[3] = {key: value for key, value in items[3].items() if key == "metadata"}
    whole = {"kind": "PodList" if typed else "List", "apiVersion": "v1", "items": items}
    data = json.dumps(whole, indent=indent).encode()
    for cut in (1, 40, 1000, len(data) // 2, len(data) - 1):
        source = Source("f.json", data[:cut], io.BytesIO(data[cut:] + b"\n" + ONE))
        documents = list(read_documents_of(source))
        assert len(documents) == 601
        assert [documents[4].item, documents[-1].index] == [5, 2]
        manifest = documents[9].manifest
        assert manifest["kind"] == "Service"
        assert isinstance(documents[7].manifest, Pod)
        assert isinstance(documents[3].manifest, Pod)
        assert documents[3].manifest.metadata.name == "p3"


@pytest.mark.parametrize("items", ['["milk", "bread"]', '[{"host": "a"}]', '{"a": 1}'])
def test_a_kind_that_ends_in_list_is_an_object(items: str) -> None:
    data = f'{{"apiVersion":"x/v1","kind":"AllowList","metadata":{{"name":"n"}},"items":{items}}}'
    assert read(data.encode()) == (["n"], [])


@pytest.mark.parametrize("between", ["", "\n", "\n---\n"])
def test_a_key_that_is_there_twice_ends_its_document_alone(between: str) -> None:
    one = '{{"kind": "Pod", "apiVersion": "v1", "metadata": {{"name": "{}"}}}}'
    twice = '{"kind": "Pod", "kind": "Pod"}'
    errors: list[InvalidInput] = []
    data = between.join((one.format("a"), twice, one.format("b"), twice, one.format("c"))).encode()
    found = list(read_documents(data, "f.json", errors.append))
    assert [document.manifest["metadata"]["name"] for document in found] == ["a", "b", "c"]
    assert [document.index for document in found] == [1, 3, 5]
    assert len(errors) == 2
