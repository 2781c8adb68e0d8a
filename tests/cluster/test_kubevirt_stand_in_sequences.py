"""The stand-in makes what was recorded with the real KubeVirt: each object's states, in their order."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt import manifests
from overbook_sandbox.kubevirt.documents import INSTANCES
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from overbook_sandbox.kubevirt.virt_api import PATH
from tests.cluster.kubevirt_scenarios import HOME, SCENARIOS, Stage
from tests.cluster.kubevirt_sequences import RECORDED, Recorder, missing, recorded, recorded_names
from tests.cluster.sync_client import get_list
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded sequences are kept elsewhere")


@pytest.fixture
def stage(cluster: ControlPlane, kubevirt: KubeVirtStandIn, namespace: str) -> Iterator[Stage]:
    """The stand-in is fast in this scenario, and works again afterwards."""
    kubevirt.pace.retry_seconds = 1.0
    yield Stage(cluster, kubevirt, namespace)
    kubevirt.pace.__init__()  # type: ignore[misc]
    kubevirt.outage.__init__()  # type: ignore[misc]
    kubevirt.configure({"evictionStrategy": "LiveMigrate"})


def test_every_recorded_sequence_has_a_scenario() -> None:
    assert sorted(SCENARIOS) == recorded_names()


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_states_are_those_of_the_real_kubevirt(stage: Stage, name: str) -> None:
    recorder = Recorder(stage.cluster.kubeconfig, stage.namespace)
    wanted = recorded(name)
    assert wanted
    with Background(recorder.run, "recorder"):
        SCENARIOS[name](stage)

        def difference() -> str:
            made = recorder.sequences()
            for what, states in wanted.items():
                state = missing(states, made.get(what, []))
                if state is not None:
                    return f"{what}: {state} is missing among\n{made.get(what)}\nrecorded:\n{states}"
            return ""

        with contextlib.suppress(AssertionError):
            wait_for(lambda: not difference(), "all states", seconds=10)
        if found := difference():
            pytest.fail(found)


def test_answers_to_evictions_are_those_of_the_real_webhook(stage: Stage) -> None:
    for case in json.loads((RECORDED / "answers.json").read_text()):
        if "evictionStrategyOnTheInstance" not in case:
            continue  # these are scenarios above
        name = f"vm-{len(get_list(stage.cluster, INSTANCES, stage.namespace))}"
        strategy, migratable = case["evictionStrategyOnTheInstance"], str(case["liveMigratable"])
        stage.start(name, strategy=strategy, live_migratable=migratable)
        stage.kubevirt.outage.controller = True  # nothing moves meanwhile
        told = case["first"]["body"].get("message", "")
        said = stage.evict(name)
        old = told.partition("VMI ")[2].partition(" ")[0]
        new = f'"{stage.namespace}/{name}"' if "/" in old else name
        assert said.endswith(told.replace(old, new) if old else ""), case
        assert bool(said) == (case["first"]["status"] == 429), case
        marked = stage.vmi(name)["status"].get("evacuationNodeName")
        assert bool(marked) == bool(case["evacuationNodeNameAfter"]), case
        stage.kubevirt.outage.controller = False


def test_webhooks_are_registered_as_by_the_real_kubevirt() -> None:
    made = manifests.webhooks(f"https://virt-api{PATH}", b"")["webhooks"]
    for real, ours in zip(json.loads((RECORDED / "webhooks.json").read_text()), made, strict=True):
        assert ours["clientConfig"]["url"].endswith(real["path"])
        for key in ("name", "failurePolicy", "timeoutSeconds", "sideEffects", "matchConditions", "rules"):
            assert ours[key] == real[key], key


def test_a_pending_migration_is_what_kubevirt_makes(stage: Stage) -> None:
    real = json.loads((RECORDED / "migration-object-while-pending.json").read_text())[0]
    limits = {"parallelMigrationsPerCluster": 0}
    stage.kubevirt.configure({"evictionStrategy": "LiveMigrate", "migrations": limits})
    stage.start("lm")
    stage.evict("lm")
    stage.phase("lm", "Pending")
    [made] = stage.migrations("lm")
    assert made["spec"] == real["spec"]
    assert list(made["status"]["migrationState"]) == list(real["status"]["migrationState"])
    assert [each["phase"] for each in made["status"]["phaseTransitionTimestamps"]] == ["Pending"]
    assert made["metadata"]["labels"] == real["metadata"]["labels"]
    assert made["metadata"]["finalizers"] == real["metadata"]["finalizers"]
    assert made["metadata"]["annotations"]["kubevirt.io/evacuationMigration"] == HOME
