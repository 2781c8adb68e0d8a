"""Files of a kernel and a runtime that answers, for tests and benchmarks without an emulated machine."""
