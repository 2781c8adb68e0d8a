"""Kubernetes objects from outside: manifest files now, the API later."""
