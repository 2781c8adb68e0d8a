"""What can go wrong around an emulated node."""


class SandboxError(Exception):
    """Anything that keeps a node from doing what was asked; the text is for the user."""


class SandboxUnavailableError(SandboxError):
    """This host lacks something that the sandbox needs; the text says what would help."""


class NodeError(SandboxError):
    """A node that did not boot, died, or took too long.

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
