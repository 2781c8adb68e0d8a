"""The part of the density benchmark that runs in the emulated node, and what it needs there."""
