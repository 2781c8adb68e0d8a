"""The command `overbook explain`, and how its report is shown as text."""
