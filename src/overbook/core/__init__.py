"""Overbook's rules as pure functions and frozen structs: no I/O, no clock, no asyncio."""
