"""Readers of the Linux kernel's own files: /proc, /sys, cgroup v2, PSI. The root path is injected.

Each kernel file has one module: `parse_x(bytes)` is pure, `read_x(root)` does the I/O. Unknown keys are
ignored, missing keys are `None`, and every other problem is a `KernelFileError`.
"""
