"""The page on the override, which changes the ratio of requests to limits at admission, and its trap."""

from overbook.cli.commands.explain.topics.here import Here

TITLE = "Override: the ratio of requests to limits, set at admission; the LimitRange trap"


def page(here: Here) -> str:  # noqa: ARG001 - all pages have this signature; this one has no numbers of a node
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
forbidden, although the developer's manifest was valid. The message names a number that is in no
manifest. Overbook keeps an overridden request at or above the LimitRange's minimum (and within its
maximum) instead. A pod that would still be forbidden is admitted unchanged, with a warning.

To see how a pod would change:  overbook explain --override OVERRIDE FILE

It applies in namespaces that enable it with a label, and never in those of the system.

  label        clusterresourceoverrides.admission.autoscaling.openshift.io/enabled: "true"

An annotation on a namespace switches it off again, for example for infrastructure that must not be
overcommitted:

  annotation   quota.openshift.io/cluster-resource-override-enabled: "false"

Since the requests shrink and the limits stay, every overridden pod is Burstable: a pod that was
Guaranteed no longer is, unless the percentage is 100.
"""
