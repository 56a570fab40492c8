"""
What an agent remembers, and how it is written down.

Rule 1: the memory changes when a run has succeeded, and not else; what a failed one had come to is on its error.
Rule 2: one conversation, one run at a time.
Rule 3: a file holds what was said and with which system message: no key, no client, no tool.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError
from llmkit.models.content import Message
from llmkit.models.reading import as_messages
from llmkit.resilience.budget import budget_of

if TYPE_CHECKING:
    from llmkit.loop.run import Run

__all__ = ["Memory", "read_transcript", "write_transcript"]

VERSION = 1


class Memory:
    """The messages of one conversation, and what is said with each run of it."""

    def __init__(self, messages: Any, *, tools: Any, options: Mapping[str, Any]) -> None:
        self.messages: list[Message] = list(as_messages(messages)) if messages else []
        self.tools = tools
        self._options = dict(options)
        if "budget" in self._options:
            # One for all runs, and not one for each.
            self._options["budget"] = budget_of(self._options["budget"])
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        self._busy = threading.Lock()

    def arguments(self, message: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a run that says *message* next is made of."""
        return {"tools": self.tools, **self._options, **options, "messages": [*self.messages, *as_messages(message)], "memory": self}

    @contextmanager
    def lent(self, run: Run) -> Iterator[None]:
        """
        Return a context manager for the time of *run*.

        Raises:
            ConfigurationError: If there is another, or there was one since this was begun.
        """
        if not self._busy.acquire(blocking=False):
            msg = "This agent is in a run already: a conversation goes on one message after the other. Make an agent for each conversation."
            raise ConfigurationError(msg)
        try:
            if run.messages[: len(self.messages)] != self.messages:
                msg = "The agent's memory has changed since this run was made: make it when the one before is over."
                raise ConfigurationError(msg)
            yield
        finally:
            self._busy.release()

    def keep(self, messages: Sequence[Message]) -> None:
        """Remember the transcript of a run that succeeded."""
        self.messages = list(messages)


def write_transcript(path: str | os.PathLike[str], messages: Sequence[Message], system: str | None) -> None:
    """Write a conversation to the file at *path*, in place of what was there: the old file stays until the new one is whole."""
    from llmkit.models.converter import unstructure

    data = {"llmkit": "transcript", "version": VERSION, "system": system, "messages": [unstructure(message) for message in messages]}
    text = json.dumps(data, ensure_ascii=False, indent=1)
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_text(f"{text}\n", encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def read_transcript(path: str | os.PathLike[str]) -> tuple[list[Message], str | None]:
    """
    Return the messages and the system message in the file at *path*.

    Raises:
        OSError: If it cannot be read.
        ConfigurationError: If it is no transcript.
    """
    from llmkit.models.converter import structure

    text = Path(path).read_text(encoding="utf-8")
    try:
        data = json.loads(text)
        is_ours = isinstance(data, dict) and data.get("llmkit") == "transcript"
        version = data["version"] if is_ours else VERSION
        messages = structure(data["messages"], list[Message]) if is_ours and version == VERSION else []
        system = data.get("system") if is_ours else None
    except Exception as error:  # whatever a file of another kind may hold
        msg = f"{os.fspath(path)} is no transcript that can be read: {error}"
        raise ConfigurationError(msg, original_error=error) from error
    if not is_ours or version != VERSION:
        what = f"of version {version!r}, which this llmkit does not know" if is_ours else "no transcript of an agent"
        msg = f"{os.fspath(path)} is {what}."
        raise ConfigurationError(msg)
    return messages, system
