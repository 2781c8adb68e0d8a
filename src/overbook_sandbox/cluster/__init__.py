"""A real control plane, with hollow nodes, services and Overbook on it."""
