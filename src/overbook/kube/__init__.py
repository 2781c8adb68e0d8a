"""Kubernetes objects from outside: manifest files, and the API."""
