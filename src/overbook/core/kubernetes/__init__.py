"""What Kubernetes itself makes of a pod: quantities, resources, QoS, cgroup values, limits."""
