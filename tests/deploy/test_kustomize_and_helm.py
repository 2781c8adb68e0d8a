from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import helm
from tests.docs.reading import ROOT

OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [deploy/base]
components: [{components}]
"""
CHOICES = {
    "nothing more": ([], []),
    "webhook": (["--set", "webhook.enabled=true"], ["webhook"]),
    "webhook with cert-manager": (
        ["--set", "webhook.enabled=true", "--set", "webhook.certificates.from=cert-manager"],
        ["webhook-cert-manager"],
    ),
    "webhook with OpenShift's service CA": (
        ["--set", "webhook.enabled=true", "--set", "webhook.certificates.from=service-ca"],
        ["webhook-service-ca"],
    ),
    "without vm-identity": (["--set", "vmIdentityPolicy=false"], ["without-vm-identity"]),
    "last-resort": (["--set", "overcommit.relief.lastResort=Delete"], ["last-resort"]),
    "openshift": (["--api-versions", "security.openshift.io/v1"], ["openshift"]),
    "monitoring": (["--api-versions", "monitoring.coreos.com/v1"], ["monitoring"]),
}

Key = tuple[str, str, str]


def objects(text: str) -> dict[Key, Any]:
    """Return objects by kind, namespace and name."""
    found: dict[Key, Any] = {}
    for each in yaml.safe_load_all(text):
        if each is not None:
            about = each["metadata"]
            key = (each["kind"], about.get("namespace", ""), about["name"])
            assert key not in found
            found[key] = each
    return found


def by_kustomize(folder: Path, components: list[str]) -> dict[Key, Any]:
    (folder / "deploy").symlink_to(ROOT / "deploy")
    names = ", ".join(f"deploy/components/{name}" for name in components)
    (folder / "kustomization.yaml").write_text(OVERLAY.format(components=names), encoding="utf-8")
    found = objects(helm.kustomize(str(folder)))
    # Helm keeps its records in the namespace: it has to be there before the chart is.
    del found["Namespace", "", "overbook"]
    return found


@pytest.mark.parametrize("choice", CHOICES)
def test_chart_and_base_make_the_same_objects(choice: str, tmp_path: Path) -> None:
    options, components = CHOICES[choice]
    chart = objects(helm.template(*options))
    overcommit = chart.pop(("Overcommit", "", "cluster"))
    assert overcommit["spec"] == ({"relief": {"lastResort": "Delete"}} if choice == "last-resort" else {})
    base = by_kustomize(tmp_path, components)
    assert chart.keys() == base.keys()
    for key, each in base.items():
        assert chart[key] == each, key


def test_the_overcommit_is_beside_the_base_and_sets_nothing() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "overcommit.yaml").read_text("utf-8"))
    assert (shipped["metadata"]["name"], shipped["spec"]) == ("cluster", {})
    assert shipped == objects(helm.template())["Overcommit", "", "cluster"]
    listed = [
        path for path in (ROOT / "deploy").rglob("kustomization.yaml") if "vercommit" in path.read_text()
    ]
    assert listed == []


def test_chart_and_base_have_the_same_custom_resources() -> None:
    shipped = objects(helm.template("--include-crds"))
    crds = objects(helm.kustomize(str(ROOT / "deploy" / "crds")))
    assert {key: each for key, each in shipped.items() if key[0] == "CustomResourceDefinition"} == crds


def test_values_reach_their_fields() -> None:
    values = {
        "image.repository": "registry.example/guests",
        "image.tag": "7",
        "overcommit.percentage": "150",
        "overcommit.mode": "Enforce",
        "agent.configuration.swap.allowance": "whole",
        "agent.resources.limits.memory": "80Mi",
        "agent.tolerations[0].key": "example.com/only",
        "controller.resources.limits.memory": "1Gi",
        "webhook.enabled": "true",
        "vmIdentityAccounts[0]": "system:serviceaccount:virtual:machines",
        "webhook.certificates.resources.limits.memory": "99Mi",
    }
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    found = objects(helm.template(*settings))
    agent = found["DaemonSet", "overbook-node", "overbook-agent"]["spec"]["template"]["spec"]
    controller = found["Deployment", "overbook", "overbook-controller"]["spec"]["template"]["spec"]
    assert agent["containers"][0]["image"] == "registry.example/guests-agent:7"
    assert agent["containers"][0]["resources"]["limits"] == {"memory": "80Mi"}
    assert agent["tolerations"] == [{"key": "example.com/only"}]
    assert controller["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    identity = found["ValidatingAdmissionPolicy", "", "overbook-vm-identity"]["spec"]
    accounts = {"name": "accounts", "expression": '["system:serviceaccount:virtual:machines"]'}
    assert accounts in identity["variables"]
    renewal = found["Deployment", "overbook", "overbook-certificates"]["spec"]["template"]["spec"]
    assert renewal["containers"][0]["resources"]["limits"] == {"memory": "99Mi"}
    assert found["Overcommit", "", "cluster"]["spec"] == {"percentage": 150, "mode": "Enforce"}
    configuration = yaml.safe_load(
        found["ConfigMap", "overbook-node", "overbook-agent"]["data"]["agent.yaml"]
    )
    assert configuration["swap"] == {"allowance": "whole"}


@pytest.mark.parametrize("source", ["own", "cert-manager", "service-ca"])
def test_another_namespace_is_in_every_place(source: str) -> None:
    chosen = ("--set", "webhook.enabled=true", "--set", f"webhook.certificates.from={source}")
    found = helm.template(*chosen, "--namespace", "guests")
    assert "guests" in found
    for key, each in objects(found).items():
        assert key[1] in {"", "guests", "guests-node"}
        assert "serviceaccount:overbook" not in str(each)
        assert ".overbook.svc" not in str(each)
        assert "overbook/overbook-webhook" not in str(each).replace("overbook/overbook-webhook:", "")
        assert "'namespace': 'overbook" not in str(each)
        assert "overbook-node" not in str(each)


def test_metrics_are_open_to_those_named_and_never_to_all() -> None:
    named = helm.template("--set-json", 'metrics.from=[{"podSelector":{"matchLabels":{"app":"p"}}}]')
    policy = next(one for one in objects(named).values() if one["metadata"]["name"] == "overbook-metrics")
    assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"app": "p"}}}]
    assert "overbook-metrics" not in helm.template("--set-json", "metrics.from=[]")


def test_a_value_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"webhook.*enable"):
        helm.template("--set", "webhook.enable=true")
