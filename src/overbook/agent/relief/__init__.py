"""The agent's part in relief: it requests that a pod leaves the node, or kills one as the last resort.

In a cluster ``core/relief`` picks the pod, and the controller evicts it.
"""
