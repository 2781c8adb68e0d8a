"""The layout of a page: paragraphs and items are wrapped, indented lines stay."""

import textwrap

from overbook.cli.output import BOLD, painted

WIDTH = 84


def laid_out(title: str, text: str) -> str:
    """The page with its title, ready to print."""
    lines = [painted(title, BOLD), ""]
    for paragraph in textwrap.dedent(text).strip().split("\n\n"):
        if paragraph.startswith("  "):
            lines += paragraph.split("\n")
        elif paragraph.startswith("- "):
            for item in paragraph.removeprefix("- ").split("\n- "):
                lines += textwrap.wrap(
                    " ".join(item.split()), WIDTH, initial_indent="- ", subsequent_indent="  "
                )
        else:
            lines += textwrap.wrap(" ".join(paragraph.split()), WIDTH)
        lines.append("")
    return "\n".join(lines)
