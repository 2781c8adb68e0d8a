"""The command `overbook explain`, and its report as text."""
