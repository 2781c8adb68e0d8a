"""The command line: commands are one module each, imported only when called.

Exit status: 0; 1: the answer is no; 2: usage or input error; 130: interrupted; 141: the reader of the output
went away.
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
        # What is still buffered has no reader; Python would complain about it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except ModuleNotFoundError as error:
        if not (error.name or "").split(".")[0].startswith("overbook"):
            raise
        # An image holds one application; the commands of all are there.
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
    """What a user can cause. Looked up only once something went wrong: their modules cost start-up time."""
    from overbook.core.errors import InvalidInput
    from overbook.kernel.files import KernelFileError
    from overbook.kube.api.errors import KubeError

    return (InvalidInput, KernelFileError, KubeError, OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
