"""The command `overbook node`, a module for each of its parts."""
