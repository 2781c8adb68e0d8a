"""What Overbook is in a cluster: custom resources, rights, policies and workloads, as data and as files."""
