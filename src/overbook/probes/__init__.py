"""The HTTP server of a running component: the kubelet's probes, and metrics for Prometheus."""
