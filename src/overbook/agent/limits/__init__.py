"""The limits that the agent writes into cgroups: swap limits of containers, reserves of QoS classes."""
