"""What KubeVirt makes of a virtual machine: its pod's memory, overhead, and its objects."""
