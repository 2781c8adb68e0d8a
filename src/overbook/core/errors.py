"""The error for a wrong input: it names the object, the field, the value, and what would be right."""


class InvalidInput(ValueError):  # noqa: N818 - the name says what is wrong, as LookupError's does
    """An input that Overbook refuses.

    Args:
        where: the object and the field, such as ``Pod shop/cart: spec.containers[0].resources``.
        value: the value that is refused; its ``repr`` is shortened in the message.
        expected: what would be right, as the end of the sentence "expected …".
    """

    def __init__(self, where: str, value: object, expected: str) -> None:
        self.where = where
        self.value = value
        self.expected = expected
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        prefix = f"{where}: " if where else ""
        super().__init__(f"{prefix}{shown} is not valid; expected {expected}")

    def inside(self, where: str) -> "InvalidInput":
        """The same error with ``where`` put before the place that it names."""
        return InvalidInput(f"{where}{self.where}" if self.where else where, self.value, self.expected)
