"""``python -m overbook.cli``: the same as ``overbook``."""

import sys

from overbook.cli import main

sys.exit(main())
