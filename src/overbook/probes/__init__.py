"""What a running component answers over HTTP: probes of the kubelet, and metrics for Prometheus."""
