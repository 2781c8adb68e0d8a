"""The demo: its story, its loads, its recordings, and its picture."""
