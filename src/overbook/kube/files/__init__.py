"""Manifests and lists read from files, without the API."""
