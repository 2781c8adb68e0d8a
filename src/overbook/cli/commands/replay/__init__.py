"""The command `overbook replay`, which shows two courses of decisions side by side."""
