"""The commands `overbook demo` and `overbook sandbox`."""
