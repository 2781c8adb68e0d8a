"""A control plane and a node of their own: what images take of a node's RAM, others' loads would miss."""

from tests.cluster.node.conftest import cluster, node

__all__ = ["cluster", "node"]
