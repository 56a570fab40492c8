"""The one error of framing."""

from __future__ import annotations

__all__ = ["FramingError"]


class FramingError(ValueError):
    """
    The bytes are not what their format promises.

    Args:
        message: What is wrong, without a word of what was sent.
        offset: Where, in bytes from the start of the stream or document; None where no place can be named.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        # Both go to BaseException.args, from which pickle builds the copy.
        super().__init__(message, offset)
        self.message = message
        self.offset = offset

    def __str__(self) -> str:
        if self.offset is None:
            return self.message
        return f"{self.message} (at byte {self.offset})"
