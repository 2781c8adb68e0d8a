"""Manifests and lists of objects, read from files without the API."""
