"""A real Kubernetes node in the emulated machine: kubelet, container runtime, images, links to the host."""
