"""The options that change single thresholds: the same for the agent and for the replay."""

import argparse
from typing import Any, Final

NAMES: Final = (
    "max_average_swap_in_pages_per_second",
    "max_average_swap_out_pages_per_second",
    "swap_utilization_threshold_factor",
    "average_window_size_seconds",
    "rank",
)


def add_rule_options(group: Any) -> None:
    """Describe them; what is not given is not in the parsed arguments."""
    not_given = argparse.SUPPRESS
    group.add_argument(
        "--max-average-swap-in-pages-per-second",
        type=float,
        metavar="N",
        help="default: 1000",
        default=not_given,
    )
    group.add_argument(
        "--max-average-swap-out-pages-per-second",
        type=float,
        metavar="N",
        help="default: 1000",
        default=not_given,
    )
    group.add_argument(
        "--swap-utilization-threshold-factor",
        type=float,
        metavar="0-1",
        help="default: 0.8",
        default=not_given,
    )
    group.add_argument(
        "--average-window-size-seconds",
        type=float,
        metavar="SECONDS",
        help="default: 30",
        default=not_given,
    )
    group.add_argument(
        "--rank",
        choices=["culprit", "original"],
        help="who goes first (default: culprit)",
        default=not_given,
    )


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those that were given, by field name."""
    values = vars(arguments)
    return {name: values[name] for name in NAMES if name in values}
