"""The host of a node: its kubelet, and the swap, tuning and OCI hook that Overbook installs on it."""
