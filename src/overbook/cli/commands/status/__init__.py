"""The command `overbook status`, and how a cluster, a namespace and a pod are shown."""
