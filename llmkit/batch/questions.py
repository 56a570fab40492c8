"""
What is asked: each prompt read as the arguments of ``complete``, and known again by its fingerprint.

Rule 1: a fingerprint is the SHA-256 of the request in our own words (who is asked, messages, parameters), so that the same request has
        the same one however it was written, and in every version that reads this format.
Rule 2: how a call is made says nothing of what is asked: ``timeout``, ``deadline`` and ``cache`` are not in it. All else is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from attrs import frozen

from llmkit.errors import ConfigurationError
from llmkit.models.content import Message
from llmkit.models.reading import as_messages
from llmkit.models.request import PARAMETERS, check_parameter
from llmkit.spelling import refuse_unknown
from llmkit.structured import ResponseFormat
from llmkit.tools import Tool

if TYPE_CHECKING:
    from llmkit.routing import Router

__all__ = ["HOW", "Question", "Reader"]

HOW = ("timeout", "deadline", "cache")  # the call is made, not what is asked
_KNOWN = (*PARAMETERS, *HOW, "model", "system")


@frozen
class Question:
    """The prompt at *index*, as arguments of ``complete``. ``id`` is its index and fingerprint, empty where nobody asks for it."""

    index: int
    arguments: Mapping[str, Any]
    id: str = ""


class Reader:
    """
    Reads prompts; *shared* are the parameters of all, over which an item's own count.

    Raises:
        ConfigurationError: If one of *shared* is unknown or wrong.
    """

    def __init__(self, router: Router, shared: Mapping[str, Any], *, fingerprints: bool) -> None:
        refuse_unknown(shared, _KNOWN)
        self._router = router
        self._shared = {name: value for name, value in shared.items() if value is not None}
        self._fingerprints = fingerprints
        self._digest = self._about(self._shared)

    def read(self, index: int, prompt: Any) -> Question:
        """
        Return *prompt* as a question.

        Raises:
            ConfigurationError: If it is no string, message, list of messages or dict of arguments with ``messages``.
        """
        own: Mapping[str, Any] = {}
        if isinstance(prompt, Mapping):
            refuse_unknown(prompt, (*_KNOWN, "messages"))
            if "messages" not in prompt:
                msg = "An item that is a dict has the arguments of complete(), among them 'messages'."
                raise ConfigurationError(msg)
            own, prompt = {name: value for name, value in prompt.items() if name != "messages" and value is not None}, prompt["messages"]
        if not isinstance(prompt, (str, Message, Sequence)):
            msg = f"An item is a string, a Message, a list of messages or a dict of complete()'s arguments, not {type(prompt).__name__}."
            raise ConfigurationError(msg)
        arguments = {**self._shared, **own, "messages": prompt}
        if not self._fingerprints:
            return Question(index, arguments)
        digest = self._about(arguments) if own else self._digest.copy()
        digest.update(_json([_plain(turn) for turn in as_messages(prompt)]))
        return Question(index, arguments, f"{index}-{digest.hexdigest()}")

    def _about(self, arguments: Mapping[str, Any]) -> Any:
        """Return the hash of everything but the messages."""
        if not self._fingerprints:
            return sha256()
        said = {**self._router.settings.defaults, **arguments}
        parameters = {
            name: _plain(value if name == "system" else check_parameter(name, value))
            for name, value in said.items()
            if value is not None and name not in ("messages", "model", *HOW)
        }
        endpoint = self._router.endpoint(said.get("model"))
        return sha256(_json({"to": endpoint.label, "parameters": parameters}))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it, in one form for each meaning."""
    from llmkit.models.converter import unstructure

    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Tool):
        return [value.name, value.description, value.parameters, value.strict]
    if isinstance(value, ResponseFormat):
        return [value.kind, value.schema, value.name, value.description, value.strict]
    if isinstance(value, Message):
        return unstructure(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    msg = f"A checkpoint needs requests that can be written as JSON, and {type(value).__name__} cannot."
    raise ConfigurationError(msg)
