"""Overbook's objects in a cluster: custom resources, rights, policies and workloads, as data and as files."""
