"""What identifies the running kernel: its page size."""

import os


def page_size_bytes() -> int:
    """Bytes in a page, the unit of counters such as pswpin. It takes no root, because there is one kernel."""
    return os.sysconf("SC_PAGE_SIZE")
