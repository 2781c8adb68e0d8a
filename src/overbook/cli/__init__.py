"""The command line: each command has a module, which is imported only when the command runs.

Exit status: 0: success; 1: the answer is no; 2: usage or input error; 130: interrupted; 141: the reader of
the output has ended.
"""

import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, ``overbook …`` or ``kubectl overbook …``.

    Args:
        argv: the arguments; default: this process's.

    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Without this, Python would report the unwritten buffer as an error when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except ModuleNotFoundError as error:
        if not (error.name or "").split(".")[0].startswith("overbook"):
            raise
        # An image contains one application, but lists the commands of all.
        print(f"overbook: {error.name} is not part of this installation", file=sys.stderr)
        return 2
    except _users_errors() as error:
        print(f"overbook: {_sentence(error)}", file=sys.stderr)
        return 2
    return status


def _run(arguments: list[str]) -> int:
    from overbook.cli.parser import make_parser

    parser = make_parser(arguments)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as end:  # after --help and --version, and after a usage error
        return end.code if isinstance(end.code, int) else 0
    run = getattr(parsed, "run", None)
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    return int(run(parsed) or 0)


def _users_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a user can cause. They are imported only after an error, to keep the start fast."""
    from overbook.core.errors import InvalidInput
    from overbook.kernel.files import KernelFileError
    from overbook.kube.api.errors import KubeError

    return (InvalidInput, KernelFileError, KubeError, OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
