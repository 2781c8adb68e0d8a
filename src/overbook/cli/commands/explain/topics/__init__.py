"""Pages that explain a rule in plain English, with the numbers of this node if it is readable.

Each page is a module with ``TITLE`` and ``page(here) -> str``; only the chosen one is imported.
"""

import argparse
from typing import Final

NAMES: Final = (
    "swap",
    "qos",
    "reserve",
    "cpu",
    "overcommit",
    "override",
    "vm",
    "pressure",
)


def run_topic(arguments: argparse.Namespace) -> int:
    """Print a page, or the list of pages."""
    import importlib

    from overbook.cli.commands.explain.topics.here import read_here
    from overbook.cli.commands.explain.topics.layout import laid_out

    def module(name: str) -> object:
        return importlib.import_module(f"overbook.cli.commands.explain.topics.{name}")

    if arguments.topic == "list":
        titles = {name: str(getattr(module(name), "TITLE", "")) for name in NAMES}
        if arguments.output != "table":
            from overbook.cli.output import write_structured

            write_structured({"topics": titles}, arguments.output)
            return 0
        for name, title in titles.items():
            print(f"{name:<11} {title}")
        return 0
    chosen = module(arguments.topic)
    here = read_here(arguments)
    text = str(getattr(chosen, "page")(here))  # noqa: B009 - each page's module has it; mypy sees an object
    if arguments.output != "table":
        from overbook.cli.output import write_structured

        title = str(getattr(chosen, "TITLE", ""))
        write_structured({"topic": arguments.topic, "title": title, "text": text}, arguments.output)
        return 0
    print(laid_out(str(getattr(chosen, "TITLE", "")), text), end="")
    return 0
