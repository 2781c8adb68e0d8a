"""A cluster: what its nodes, namespaces and pods have, what is wrong, and what fixes it."""
