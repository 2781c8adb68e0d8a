"""Readers of the Linux kernel's own files: /proc, /sys, cgroup v2, PSI. The root path is injected.

One kernel file, one module: `parse_x(bytes)` is pure, `read_x(root)` does the I/O. Keys that the kernel added
are ignored, keys that it does not have are `None`, and whatever else goes wrong is a `KernelFileError`.
"""
