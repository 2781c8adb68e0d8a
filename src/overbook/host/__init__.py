"""What must run on a host without Python: self-contained files, rendered with the node's settings."""
