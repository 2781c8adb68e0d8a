"""The limits that the agent writes into cgroups: swap limits of containers, reserves of QoS classes.

``swap_writers`` chooses the writer of swap limits, ``swap_limits`` compares limits with allowances, and
``writers/*`` write. ``reserves`` limits QoS classes.
"""
