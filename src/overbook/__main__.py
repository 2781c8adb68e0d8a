"""``python -m overbook``: the same as the ``overbook`` command."""

import sys

from overbook.cli import main

if __name__ == "__main__":
    sys.exit(main())
