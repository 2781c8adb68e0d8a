"""An address to listen on, as people write it: ``host:port``."""

from overbook.core.errors import InvalidInput


def split_address(address: str, where: str, example: str) -> tuple[str, int]:
    """``host:port`` taken apart; the host may be in brackets (IPv6) or empty (all).

    Args:
        address: what was written.
        where: the setting that it was written in.
        example: one that is right.

    Raises:
        InvalidInput: it has no port, or one out of range.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise InvalidInput(where, address, example)
    return host.removeprefix("[").removesuffix("]"), int(port)
