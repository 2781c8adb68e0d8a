"""An emulated Linux machine: kernel, initramfs, emulator, and jobs that run in it."""
