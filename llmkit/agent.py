"""An agent: a client, tools, and a memory of what was said. What it asks for runs in ``llmkit.running``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError
from llmkit.loop.memory import Memory, read_transcript, write_transcript

if TYPE_CHECKING:
    from llmkit.client import Client
    from llmkit.loop.results import RunResult
    from llmkit.models.content import Message, Messages
    from llmkit.running import RunStream

__all__ = ["Agent"]


class Agent:
    """
    A conversation with a model that has tools: ``run`` says something, and what was said before is remembered.

    ``messages`` is the memory, a list of ``Message``s that may be changed between two runs. It grows when a run has succeeded; one that
    failed leaves it as it was, and ``error.run.messages`` is what there was. One run at a time: an agent for each conversation.

    Args:
        client: A ``Client``; with an ``AsyncClient``, take the ``Agent`` of ``llmkit_async``.
        system: The system message of every run.
        tools: Functions, ``Tool``s, or a ``ToolRegistry``.
        max_steps: How many answers one run may take.
        messages: What to begin with.
        **options: What ``client.run`` takes beside these, for every run. A ``budget`` is one for all of them together.

    Raises:
        ConfigurationError: If something given is wrong.
    """

    def __init__(
        self,
        client: Client,
        *,
        system: str | None = None,
        tools: Iterable[Any] = (),
        max_steps: int = 8,
        messages: Messages = (),
        **options: Any,
    ) -> None:
        run = getattr(client, "run", None)
        if run is None or inspect.iscoroutinefunction(run):
            msg = f"Agent takes a Client, not {type(client).__name__}; the Agent of llmkit_async takes an AsyncClient."
            raise ConfigurationError(msg)
        self._client = client
        self._memory = Memory(messages, tools=tools, options=options)
        self.system = system
        self.max_steps = max_steps

    @property
    def messages(self) -> list[Message]:
        """What was said up to now, without the system message."""
        return self._memory.messages

    @messages.setter
    def messages(self, messages: Iterable[Message]) -> None:
        self._memory.messages = list(messages)

    def run(self, message: Messages, **options: Any) -> RunResult:
        """
        Say *message* and return what came of it. *options* are those of ``client.run``, for this run.

        Raises:
            LLMKitError: As ``client.run``; the memory is then as it was before.
        """
        return self._running(False, message, options).collect()

    def run_stream(self, message: Messages, **options: Any) -> RunStream:
        """Return the same as it happens. The memory changes when it has been read to its end."""
        return self._running(True, message, options)

    def reset(self) -> None:
        """Forget what was said."""
        self._memory.messages = []

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a file, as JSON: messages and system message; no key, no tool."""
        write_transcript(path, self.messages, self.system)

    @classmethod
    def load(cls, path: str | os.PathLike[str], client: Client, **arguments: Any) -> Agent:
        """
        Return an agent that goes on with the conversation in a file, with whatever client. *arguments* are those of the class.

        Raises:
            OSError: If the file cannot be read.
            ConfigurationError: If it holds no conversation.
        """
        messages, system = read_transcript(path)
        return cls(client, **{"system": system, **arguments, "messages": messages})

    def _running(self, streamed: bool, message: Messages, options: dict[str, Any]) -> RunStream:
        said = {"system": self.system, "max_steps": self.max_steps, **options}
        return self._client._running(streamed, self._memory.arguments(message, said))

    def __repr__(self) -> str:
        return f"Agent({self._client!r}, {len(self.messages)} messages)"
