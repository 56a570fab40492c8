"""Tokens counted, in one meaning for every provider."""

from __future__ import annotations

from llmkit.values import frozen

__all__ = ["UNREPORTED", "TokenCount", "Usage"]


@frozen(kw_only=True)
class Usage:
    """
    Tokens of one or more answers.

    ``input_tokens`` is all input, cached included; ``output_tokens`` all output, reasoning included. ``cache_write_1h_tokens`` is what of
    ``cache_write_tokens`` was written to be kept for an hour, where the provider tells and charges it apart. ``reported`` is False
    where the provider did not say: the numbers are then zero, not known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    reported: bool = True

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            reported=self.reported and other.reported,
        )

    def __radd__(self, other: object) -> Usage:
        # sum() begins with 0.
        return self if other == 0 else NotImplemented


UNREPORTED = Usage(reported=False)


class TokenCount(int):
    """
    A number of tokens, and how it came about.

    ``estimated`` is False where the provider counted; ``source`` says who did: a provider's name, a tokenizer's, or ``"estimate"``.
    """

    estimated: bool
    source: str

    def __new__(cls, value: int, estimated: bool = True, source: str = "estimate") -> TokenCount:
        count = super().__new__(cls, value)
        count.estimated = estimated
        count.source = source
        return count

    def __getnewargs__(self) -> tuple[int, bool, str]:  # type: ignore[override]  # int's own are of one
        return int(self), self.estimated, self.source
