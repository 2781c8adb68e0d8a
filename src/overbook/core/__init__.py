"""The rules. Pure functions and frozen structs: no I/O, no clock, no asyncio."""
