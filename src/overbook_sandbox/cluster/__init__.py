"""A real control plane, and what runs on it: hollow nodes, services, Overbook itself."""
