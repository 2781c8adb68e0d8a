"""Findings about a host: the facts are read, pure checks judge them, and each finding has a fix."""
