"""A fix that the doctor prints fixes: each is typed on a node with what is wrong, and the finding is gone."""

from collections.abc import Iterator

import pytest

from tests.emulated import sick_node
from tests.emulated.fix_scenes import SCENES
from tests.emulated.sick_node import NEWER, Doctor, type_in

pytestmark = pytest.mark.node(memory="768Mi", swap="2Gi")


@pytest.fixture(scope="module", autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with sick_node.machine(tmp_path_factory.mktemp("modules")):
        yield


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[NEWER] if sick.newer else []) for name, sick in SCENES.items()]
)
def test_the_fix_is_typed_and_the_finding_is_gone(name: str) -> None:
    words, scene, _ = SCENES[name]
    doctor = Doctor()
    with scene():
        doctor.look()
        printed = {word: doctor.fixes[word] for word in words}

        for fix in dict.fromkeys(printed.values()):
            type_in(fix)

        doctor.look()
        assert set(words) & set(doctor.fixes) == set(), doctor.fixes
