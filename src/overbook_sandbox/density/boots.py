"""The boots of the searches for a density, which a folder keeps so that a stopped search can go on."""

import os
from typing import BinaryIO, Final

import msgspec

from overbook_sandbox.density.report.most import Kind
from overbook_sandbox.density.result import Cell

BOOTS: Final = "boots.jsonl"


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """A boot of a search.

    Attributes:
        kind: what the pods are.
        percent: the overcommit percentage.
        count: the number of pods.
        cell: the result.
    """

    kind: Kind
    percent: int
    count: int
    cell: Cell


class KeptBoots:
    """The boots of an output folder.

    Args:
        folder: the folder; it is made if it is not there.
        keep: whether boots that it has are used.

    Attributes:
        boots: the boots of before; a later one replaces an earlier one.
    """

    def __init__(self, folder: str, *, keep: bool) -> None:
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, BOOTS)
        self.boots: list[Boot] = []
        if keep and os.path.exists(path):
            decoder = msgspec.json.Decoder(Boot)
            with open(path, "rb") as file:
                self.boots += (decoder.decode(line) for line in file if line.strip())
        self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 - closed by `close`

    def add(self, boot: Boot) -> None:
        """Keep a boot."""
        self._file.write(msgspec.json.encode(boot) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
