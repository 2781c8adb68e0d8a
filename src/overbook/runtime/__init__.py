"""Container runtimes: the protocol by which one asks what a new container may swap."""
