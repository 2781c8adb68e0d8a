"""A real Linux node under emulation, for the demo and the tests."""
