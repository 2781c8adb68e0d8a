"""KubeVirt's rules about a virtual machine: its pod's memory and overhead, and KubeVirt's objects."""
