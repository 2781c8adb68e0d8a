"""What must run on a host without Python: self-contained files, kept here and rendered with the node's settings."""
