"""The density benchmark: loads on an emulated node, each under each guard, and what that does to whom.

``loads`` and ``catalog`` say what pods do, ``guards`` who protects the node. ``node`` plays one load in the
node, ``run`` boots nodes for it, and ``judge`` makes a :class:`~overbook_sandbox.density.result.Cell` of it.
"""
