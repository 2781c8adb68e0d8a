"""Overbook: memory and CPU overcommit for Kubernetes and OpenShift."""

__version__ = "0.1.0"
