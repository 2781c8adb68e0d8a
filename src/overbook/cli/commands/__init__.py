"""One module or folder for each command, imported when it is called."""
