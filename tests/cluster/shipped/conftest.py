"""These tests have a node of their own: their images take RAM that other tests' pods would miss."""

from tests.cluster.node.conftest import cluster, node

__all__ = ["cluster", "node"]
