"""A stand-in for KubeVirt: its objects, its eviction webhook with its answers, and migrations of real pods.

What is a virtual machine there is an ordinary container here; the API sees no difference.
"""
