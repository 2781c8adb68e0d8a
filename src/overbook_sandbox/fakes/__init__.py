"""Fake kernel files and a fake container runtime, for tests and benchmarks without an emulated machine."""
