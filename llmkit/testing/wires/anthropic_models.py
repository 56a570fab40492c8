"""
What the fake of the Messages API knows of its models, and how it refuses.

Read from a model's number, and so put otherwise than in the library that is tested against it.

Source: Anthropic's model overview and the guides to thinking, effort and tool use, read 2026-11-21.
"""

from __future__ import annotations

import re

from attrs import frozen

from llmkit.testing.replies import Failure, Reply

__all__ = ["MODELS", "Model", "model_named", "refuse"]

MODELS = ("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-5-5", "claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5")

_NAME = re.compile(r"(opus|sonnet|haiku|fable|mythos)-(\d)(?:[-.](\d))?(?!\d)")
_ALL_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def refuse(message: str, *, status: int = 400, type: str = "invalid_request_error") -> Reply:
    """Return the error of a request that is itself wrong."""
    return Reply(status=status, failure=Failure(type=type, message=message))


@frozen(kw_only=True)
class Model:
    """One model; of a name that says nothing, nothing is refused."""

    name: str
    family: str = ""
    version: tuple[int, int] = (4, 5)

    @property
    def is_known(self) -> bool:
        return bool(self.family)

    @property
    def max_tokens(self) -> int | None:
        if not self.is_known or self.version < (4, 5):
            return None
        return 64_000 if self.version == (4, 5) else 128_000

    @property
    def takes_sampling(self) -> bool:
        return self.version < (4, 7)

    @property
    def takes_prefill(self) -> bool:
        return self.version < (4, 6)

    @property
    def takes_system_turns(self) -> bool:
        return self.version >= (4, 8)

    @property
    def can_be_forced(self) -> bool:
        if self.family in ("fable", "mythos"):
            return self.version < (5, 1)
        return self.family == "haiku" or self.version < (5, 5)

    @property
    def hides_thoughts(self) -> bool:
        """Whether its thoughts come as a seal alone, unless they are asked for."""
        return self.version >= (4, 7)

    @property
    def thinking(self) -> tuple[str, ...]:
        """The types of thinking that it can be told."""
        if not self.is_known:
            return ("adaptive", "enabled", "disabled", "between_tools")
        if self.family in ("fable", "mythos") or (self.family == "opus" and self.version >= (5, 5)):
            return ("adaptive",)
        if self.family == "sonnet" and self.version >= (5, 5):
            return ("adaptive", "between_tools")
        types = ("adaptive",) if self.version >= (4, 6) else ()
        return (*types, *(("enabled",) if self.version <= (4, 6) else ()), "disabled")

    @property
    def efforts(self) -> tuple[str, ...]:
        if not self.is_known or self.version >= (4, 7):
            return _ALL_EFFORTS
        if self.version == (4, 6):
            return ("low", "medium", "high", "max")
        return ("low", "medium", "high") if self.family == "opus" and self.version == (4, 5) else ()


def model_named(name: str) -> Model:
    """Return what is known of the model *name*."""
    found = _NAME.search(name)
    if found is None:
        return Model(name=name)
    return Model(name=name, family=found[1], version=(int(found[2]), int(found[3] or 0)))
