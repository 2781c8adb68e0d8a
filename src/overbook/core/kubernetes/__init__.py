"""Kubernetes' own rules about a pod: quantities, resources, QoS class, cgroup values, LimitRanges."""
