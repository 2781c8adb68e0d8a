"""The options that say who may swap, how much, and who writes it: the same wherever a command takes them."""

import argparse
from typing import Final, get_args

from overbook.core.allowance import Allowance, Eligibility, SwapPolicy
from overbook.core.swap_writer import AskedWriter

USUAL: Final = SwapPolicy()

# argparse's own type for both is private.
Options = argparse.ArgumentParser | argparse._ArgumentGroup  # noqa: SLF001


def add_eligibility_option(options: Options, default: str | None = USUAL.eligibility) -> None:
    """Describe ``--eligibility``. Where a file may say it, too, `default` is another: not given."""
    options.add_argument(
        "--eligibility",
        choices=get_args(Eligibility),
        default=default,
        help=f"who may swap (default: {USUAL.eligibility})",
    )


def add_allowance_option(options: Options, default: str | None = USUAL.allowance) -> None:
    """Describe ``--allowance``."""
    options.add_argument(
        "--allowance",
        choices=get_args(Allowance),
        default=default,
        help="how much swap each gets: the request's share (as the kubelet), what the guest can need, or "
        f"that out of a common pool (default: {USUAL.allowance})",
    )


def add_swap_writer_option(options: Options, default: str | None = "auto") -> None:
    """Describe ``--swap-writer``."""
    options.add_argument(
        "--swap-writer",
        choices=get_args(AskedWriter),
        default=default,
        help="who writes the limits (default: auto, by what is there)",
    )
