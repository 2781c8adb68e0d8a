"""Who is let in to the shipped pods: the node to probes, those whom the installer names to metrics."""

from typing import Any, cast

import pytest

from overbook.deploy.installation import Component, Installation, Manifest
from overbook.deploy.parts import PARTS

ONE_OF = {"webhook-cert-manager", "webhook-service-ca"}  # instead of `webhook`
OBJECTS = [each for part in PARTS if part.group not in ONE_OF for each in part.objects(Installation())]
POLICIES = [each for each in OBJECTS if each["kind"] == "NetworkPolicy"]
PODS = [each["spec"]["template"] for each in OBJECTS if each["kind"] in {"Deployment", "DaemonSet"}]
OVERBOOK = [pod for pod in PODS if pod["metadata"]["labels"].get("app.kubernetes.io/part-of") == "overbook"]


def component(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def namespace(pod: Manifest) -> str:
    return Installation().namespace_of(cast("Component", component(pod)))


def opened(pod: Manifest) -> dict[Any, list[list[Manifest] | None]]:
    """The ports that policies open to a pod, each with the peers; ``None``: everybody."""
    found: dict[Any, list[list[Manifest] | None]] = {}
    for policy in POLICIES:
        wanted = policy["spec"]["podSelector"]["matchLabels"]
        here = policy["metadata"]["namespace"] == namespace(pod)
        if here and wanted.items() <= pod["metadata"]["labels"].items():
            for rule in policy["spec"]["ingress"]:
                assert rule.get("from") != []  # it would mean everybody
                for port in rule["ports"]:
                    found.setdefault(port["port"], []).append(rule.get("from"))
    return found


PROBED = [pod for pod in OVERBOOK if component(pod) != "certificates"]
"""The renewal of certificates has no port."""


@pytest.mark.parametrize("pod", PROBED, ids=component)
def test_a_pod_has_its_probes_on_a_port_that_no_policy_opens(pod: Manifest) -> None:
    (container,) = pod["spec"]["containers"]
    names = {port["name"]: port["containerPort"] for port in container["ports"]}
    used = {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("readiness", "liveness")}
    assert used == {"probes"}
    assert any(str(names["probes"]) in argument for argument in container["args"])
    assert not {"probes", names["probes"]} & opened(pod).keys()
    # A pod that no policy selects is open to everybody.
    selecting = [policy["spec"]["podSelector"]["matchLabels"] for policy in POLICIES]
    assert any("app.kubernetes.io/component" in wanted for wanted in selecting)


@pytest.mark.parametrize("pod", OVERBOOK, ids=component)
def test_metrics_are_open_only_to_those_that_the_installer_names(pod: Manifest) -> None:
    open_to = opened(pod)
    assert open_to["metrics"] == [Installation().metrics_from]
    others = {port: peers for port, peers in open_to.items() if port != "metrics"}
    assert others == ({"admission": [None]} if component(pod) == "webhook" else {})
