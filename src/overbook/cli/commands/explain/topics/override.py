"""The override: changing the ratio of requests to limits at admission, and its trap."""

from overbook.cli.commands.explain.topics.here import Here

TITLE = "Override: the ratio of requests to limits, set at admission; the LimitRange trap"


def page(here: Here) -> str:  # noqa: ARG001 - every page is asked the same way; this one has no numbers of a node
    """The page."""
    return """
Developers write requests and limits; the administrator of the cluster decides how densely nodes are
packed. The override changes requests when a pod is created: memory requests become a percentage of
memory limits, CPU requests a percentage of CPU limits, and CPU limits follow from memory limits where
that ratio is set.

It starts from limits. A container without a limit is not changed. So give each namespace a LimitRange
with default limits, and the override reaches every pod.

The trap: after the override the pod is checked against the namespace's LimitRange again. A developer
writes a limit just above the minimum, the override pushes the request below the minimum, and the pod is
forbidden, although what the developer wrote was fine. The message speaks of a number that is in no
manifest. Overbook holds an overridden request at the LimitRange's minimum (and within its maximum)
instead. Where the pod would be forbidden all the same, it goes through unchanged, with a warning.

What would become of a pod:  overbook explain --override OVERRIDE FILE

Where it applies: in namespaces that opted in with a label, and never in those of the system.

  label        clusterresourceoverrides.admission.autoscaling.openshift.io/enabled: "true"

A project is taken out again with an annotation on its namespace, for example for infrastructure that
must not be overcommitted:

  annotation   quota.openshift.io/cluster-resource-override-enabled: "false"

Since the requests shrink and the limits stay, every overridden pod is Burstable: a pod that was
Guaranteed no longer is, unless the percentage is 100.
"""
