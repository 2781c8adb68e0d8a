"""A stand-in for KubeVirt: its objects, its eviction webhook, and live migrations of real pods.

An ordinary container takes the place of a virtual machine; in the API there is no difference.
"""
