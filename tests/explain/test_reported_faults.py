"""Inputs shaped after public reports, in the files in which they were reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main

INPUTS = Path(__file__).parents[3] / "shared" / "faults" / "inputs" / "admission"
GI = 1 << 30


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Any:
    def explain(*names: str, options: tuple[str, ...] = ()) -> Any:
        paths = [str(INPUTS / name) for name in names]
        if not INPUTS.is_dir():
            pytest.skip(f"{INPUTS} is not there")
        size = () if "--override" in options else ("--node-memory", "64Gi", "--eligibility", "Burstable")
        files = [*options, *paths] if options[:1] == ("--override",) else [*paths, *options]
        assert main(["explain", *files, *size, "--output", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return explain


def overridden(report: Any, override: str, *names: str) -> Any:
    return report(*names, options=("--override", str(INPUTS / override)))


def test_a_long_container_name_is_overridden_validly(report: Any) -> None:
    (one,) = overridden(report, "override-request-to-request.yaml", "pod-long-container-name.yaml")
    assert one["outcome"] == "Overridden"


def test_percentages_one_level_too_high_are_named(report: Any) -> None:
    (one,) = overridden(report, "override-flat.yaml", "pod-guaranteed.yaml")
    assert one["detail"] == "it sets no percentage"
    assert "spec.memoryRequestToLimitPercent" in one["notes"][0]


def test_the_override_named_cluster_wins(report: Any) -> None:
    (one,) = overridden(report, "override-two-names.yaml", "pod-guaranteed.yaml")
    assert one["requests"] == {"cpuMilli": 500, "memoryBytes": GI // 2}
    assert "Guaranteed -> Burstable" in one["consequences"][0]


def test_a_deployment_config_is_overridden_too(report: Any) -> None:
    assert [one["name"] for one in overridden(report, "override.yaml", "deploymentconfig.yaml")] == [
        "lab/z-*"
    ]


def test_limit_range_defaults_reach_the_workloads(report: Any) -> None:
    web = report("limitrange-and-workloads.yaml")["pods"][0]
    assert (web["qosClass"], web["requests"]["memoryBytes"]) == ("Burstable", GI // 4)


def test_finished_jobs_are_not_counted(report: Any) -> None:
    totals = report("finished-jobs.json")["totals"]
    assert (totals["pods"], totals["requests"]["memoryBytes"]) == (1, GI)


def test_stopped_machines_are_not_counted(report: Any) -> None:
    answer = report("stopped-workloads.yaml")
    assert [pod["object"] for pod in answer["pods"]] == ["lab/desk-on"]
    assert answer["totals"]["guestBytes"] == 4 * GI


def test_a_system_class_in_a_manifest_is_critical(report: Any) -> None:
    (pod,) = report("daemonset-system-node-critical.yaml")["pods"]
    assert (pod["priority"], pod["critical"], pod["swapMaxBytes"]) == (2_000_001_000, True, 0)
    assert pod["containers"][0]["oomScoreAdj"] == -997


def test_a_deferred_resize_is_shown_as_it_works(report: Any) -> None:
    (pod,) = report("pod-resize-deferred.yaml")["pods"]
    assert pod["requests"]["memoryBytes"] == 4 * GI
    assert pod["containers"][0]["memoryMaxBytes"] == 6 * GI


def test_pod_level_huge_pages_default_the_requests(report: Any) -> None:
    (pod,) = report("pod-level-hugepages-only.yaml")["pods"]
    assert (pod["qosClass"], pod["requests"]["memoryBytes"]) == ("Burstable", GI)


@pytest.mark.parametrize(("version", "quality"), [("1.36", "BestEffort"), ("1.37", "Guaranteed")])
def test_empty_pod_level_resources_go_by_the_version(report: Any, version: str, quality: str) -> None:
    (pod,) = report("pod-level-empty.yaml", options=("--kubernetes-version", version))["pods"]
    assert pod["qosClass"] == quality


def test_fractional_bytes_are_warned_about(report: Any) -> None:
    (pod,) = report("pod-fractional-bytes.yaml")["pods"]
    assert "FractionalBytes" in [one["word"] for one in pod["warnings"]]


def test_a_pod_of_8_ei_ends_no_report(report: Any) -> None:
    assert [pod["name"] for pod in report("pod-max-int64.yaml")["pods"]] == ["lab/unlimited", "lab/ordinary"]


def test_a_stream_of_json_is_read(report: Any) -> None:
    assert [pod["name"] for pod in report("json-stream.json")["pods"]] == ["lab/p1", "lab/p2"]


def test_the_node_of_a_list_is_its_node(capsys: pytest.CaptureFixture[str]) -> None:
    if not INPUTS.is_dir():
        pytest.skip(f"{INPUTS} is not there")
    assert main(["explain", str(INPUTS / "node-and-pod.json"), "-o", "json"]) == 0
    node = json.loads(capsys.readouterr().out)["node"]
    assert (node["memoryBytes"], node["memoryFrom"]) == (64 * GI, "Node w1")
