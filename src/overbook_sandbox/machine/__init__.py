"""An emulated Linux machine: its kernel, initramfs and emulator, and the jobs that run in it."""
