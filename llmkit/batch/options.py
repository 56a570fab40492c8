"""How a batch is to be done: what a user says to ``batch`` and ``batch_iter``, checked."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, Literal

from attrs import Attribute, field, frozen

from llmkit.errors import ConfigurationError
from llmkit.journal.journal import Resume, check_place
from llmkit.progress import ProgressArgument

__all__ = ["Options"]


def _must(fits: Callable[[Any], bool], what: str) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if not fits(value):
            shown = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
            msg = f"{attribute.name} is {what}, not {shown}."
            raise ConfigurationError(msg)

    return check


_flag = _must(lambda value: isinstance(value, bool), "True or False")


@frozen(kw_only=True)
class Options:
    """The arguments of ``batch``; README, section "Many prompts at once"."""

    max_concurrency: int = field(
        default=8,
        validator=_must(
            lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1, "a whole number of at least 1"
        ),
    )
    ordered: bool = field(default=True, validator=_flag)
    progress: ProgressArgument = None
    checkpoint: str | os.PathLike[str] | None = None
    resume: Resume = True
    retry_failed: bool = field(default=False, validator=_flag)
    strict: bool = field(default=False, validator=_flag)
    mode: Literal["calls", "provider"] = field(
        default="calls", validator=_must(lambda value: value in ("calls", "provider"), "'calls' or 'provider'")
    )
    executor: Executor | None = field(
        default=None, validator=_must(lambda value: value is None or isinstance(value, Executor), "an Executor of concurrent.futures")
    )
    params: Mapping[str, Any]

    def __attrs_post_init__(self) -> None:
        check_place(self.checkpoint, self.resume)
        if self.executor is not None and self.mode == "provider":
            msg = "executor= says nothing with mode='provider', where the provider does the work."
            raise ConfigurationError(msg)


def check_prompts(prompts: object) -> None:
    """Raise ``ConfigurationError`` if *prompts* is not many."""
    if isinstance(prompts, (str, bytes, Mapping)) or not isinstance(prompts, (Iterable, AsyncIterable)):
        msg = f"prompts is a list or another iterable of prompts, not {type(prompts).__name__}; a single one is complete()'s."
        raise ConfigurationError(msg)
