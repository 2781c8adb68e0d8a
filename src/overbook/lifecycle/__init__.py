"""What Overbook is in a cluster: its custom resources, rights, policies and workloads, as data and as files."""
