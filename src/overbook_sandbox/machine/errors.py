"""The errors of emulated nodes."""


class SandboxError(Exception):
    """An error of the sandbox; the text is for the user."""


class SandboxUnavailableError(SandboxError):
    """This host lacks something that the sandbox needs; the text has a fix."""


class NodeError(SandboxError):
    """A node did not boot, crashed, or took too long.

    Args:
        problem: One sentence.
        console_tail: The last lines of the node's serial console, oldest first.
    """

    def __init__(self, problem: str, console_tail: tuple[str, ...] = ()) -> None:
        self.problem = problem
        self.console_tail = console_tail
        shown = "".join(f"\n  {line}" for line in console_tail)
        super().__init__(f"{problem}\nlast lines of the node's console:{shown}" if shown else problem)


class NodeStoppedError(NodeError):
    """The node was stopped on request before its command ended."""
