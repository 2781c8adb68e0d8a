"""Readers of the Linux kernel's own files: /proc, /sys, cgroup v2, PSI. The root path is injected."""
