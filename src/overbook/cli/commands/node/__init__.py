"""The command `overbook node`, with a module for each of its parts."""
