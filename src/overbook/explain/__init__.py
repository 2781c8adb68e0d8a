"""Manifests and lists, and what becomes of each pod on a node."""
