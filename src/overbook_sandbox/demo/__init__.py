"""The demo: its script, its loads, what is recorded, and the picture of it."""
