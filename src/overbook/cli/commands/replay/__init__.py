"""The command `overbook replay`, and how two courses are shown side by side."""
