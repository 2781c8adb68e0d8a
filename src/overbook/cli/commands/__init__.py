"""The commands: a module or folder for each, which is imported when the command runs."""
