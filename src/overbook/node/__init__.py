"""What a host is and what is put on it: its kubelet, its swap, its tuning, its OCI hook."""
