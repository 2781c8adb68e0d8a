"""The command `overbook status`, which shows a cluster, a namespace or a pod."""
