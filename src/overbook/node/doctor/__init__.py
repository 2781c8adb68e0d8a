"""What is wrong on a host: the facts are looked up, pure checks judge them, and each finding has a fix."""
