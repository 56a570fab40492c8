"""
One request in our own words, checked at the door.

Only what the caller set is in it: None means "not said", and what was not said is not sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import field

from llmkit.errors import ConfigurationError
from llmkit.models.content import Message
from llmkit.models.facts import UNKNOWN_MODEL, ModelFacts
from llmkit.models.reading import as_messages
from llmkit.spelling import nearest
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.structured import ResponseFormat
    from llmkit.tools import Tool

__all__ = ["PARAMETERS", "CompletionRequest", "Reasoning", "make_request"]

Reasoning: TypeAlias = Literal["none", "minimal", "low", "medium", "high"] | int
EFFORTS = ("none", "minimal", "low", "medium", "high")
CHOICES = ("auto", "none", "required")


@frozen(kw_only=True)
class CompletionRequest:
    """What is asked of a model: API reference, section "One request". ``tool_choice`` is a choice or a tool's name."""

    messages: tuple[Message, ...]
    model: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    metadata: Mapping[str, str] | None = None
    extra_body: Mapping[str, Any] | None = field(default=None, repr=False)
    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)
    stream: bool = False
    facts: ModelFacts = field(default=UNKNOWN_MODEL, repr=False)


def _number(low: float, high: float) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            msg = f"{name} is a number from {low:g} to {high:g}, not {value!r}."
            raise ConfigurationError(msg)
        return value

    return check


def _whole(low: int | None) -> Callable[[str, Any], int]:
    bound = "" if low is None else f" of at least {low}"

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or (low is not None and value < low):
            msg = f"{name} is a whole number{bound}, not {value!r}."
            raise ConfigurationError(msg)
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"{name} is True or False, not {value!r}."
        raise ConfigurationError(msg)
    return value


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        msg = f"{name} is a string that is not empty, not {value!r}."
        raise ConfigurationError(msg)
    return value


def _stop(name: str, value: Any) -> tuple[str, ...]:
    sequences = (value,) if isinstance(value, str) else value
    if not isinstance(sequences, (list, tuple)) or not sequences or not all(isinstance(s, str) and s for s in sequences):
        msg = f"{name} is a string or a list of strings, none of them empty, not {value!r}."
        raise ConfigurationError(msg)
    return tuple(sequences)


def _reasoning(name: str, value: Any) -> Reasoning:
    if isinstance(value, str) and value in EFFORTS:
        return value  # type: ignore[return-value]  # one of the literals, as just tested
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    msg = f"{name} is one of {', '.join(EFFORTS)}, or a budget in tokens, not {value!r}."
    raise ConfigurationError(msg)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        # The value is not shown: headers and bodies may hold credentials.
        msg = f"{name} is a dict with strings as keys, not {type(value).__name__}."
        raise ConfigurationError(msg)
    return dict(value)


def _strings(name: str, value: Any) -> Mapping[str, str]:
    if not all(isinstance(item, str) for item in _mapping(name, value).values()):
        msg = f"The values of {name} are strings."
        raise ConfigurationError(msg)
    return dict(value)


# Headers that would change where a request goes, how it is framed or who pays for it.
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization", "proxy-authorization"})


def check_headers(name: str, value: Any) -> Mapping[str, str]:
    """Return *value*, headers that a user adds; refuses those that are not the user's to set, and line breaks."""
    headers = _strings(name, value)
    for header, text in headers.items():
        if header.lower() in _RESERVED:
            msg = f"{name} cannot set {header}: use api_key=, auth= or base_url= for what it would do."
            raise ConfigurationError(msg)
        if not header.isascii() or not header.replace("-", "").replace("_", "").isalnum():
            msg = f"{name} has a name that is no header's: {header!r}."
            raise ConfigurationError(msg)
        if not text.isascii() or not text.replace("\t", " ").isprintable():
            msg = f"{name}: the value of {header} has a line break, a control character or one that is not ASCII."
            raise ConfigurationError(msg)
    return headers


def _tools(name: str, value: Any) -> tuple[Tool, ...]:
    from llmkit.tools import as_tools

    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        msg = f"{name} is a list of functions, Tool objects or dicts, not {type(value).__name__}."
        raise ConfigurationError(msg)
    return as_tools(value)


def _tool_choice(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        # OpenAI's own form names a function one or two levels down.
        inner = value.get("function", value)
        value = inner.get("name") if isinstance(inner, Mapping) else None
    elif callable(value):
        value = getattr(value, "__name__", None)
    return _string(name, value)


def _response_format(name: str, value: Any) -> ResponseFormat | None:
    from llmkit.structured import as_response_format

    try:
        return as_response_format(value)
    except TypeError as error:
        # A list or the like: it has no place among types, which are told apart by their hash.
        msg = f"{name} is 'json', a JSON Schema or a type, not {type(value).__name__}: {error}."
        raise ConfigurationError(msg) from None


# What each parameter must be. A parameter that is not here does not exist.
PARAMETERS: Mapping[str, Callable[[str, Any], Any]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _flag,
    "response_format": _response_format,
    "temperature": _number(0.0, 2.0),
    "top_p": _number(0.0, 1.0),
    "top_k": _whole(1),
    "max_tokens": _whole(1),
    "stop": _stop,
    "seed": _whole(None),
    "frequency_penalty": _number(-2.0, 2.0),
    "presence_penalty": _number(-2.0, 2.0),
    "reasoning": _reasoning,
    "user": _string,
    "metadata": _strings,
    "extra_body": _mapping,
    "extra_headers": check_headers,
}


def check_parameter(name: str, value: Any) -> Any:
    """Return *value* as the request keeps it; refuses by name what the parameter *name* cannot be."""
    check = _string if name == "system" else PARAMETERS.get(name)
    if check is None:
        hint = nearest(name, PARAMETERS) or " What one provider alone knows goes into extra_body=."
        msg = f"There is no parameter {name!r}.{hint}"
        raise ConfigurationError(msg)
    return check(name, value)


def make_request(
    messages: Any,
    *,
    model: str,
    system: str | None = None,
    stream: bool = False,
    facts: ModelFacts = UNKNOWN_MODEL,
    **parameters: Any,
) -> CompletionRequest:
    """
    Return the request for *messages*; a parameter that is None was not said. *facts* is what is known of the model.

    Raises:
        ConfigurationError: If there is no message, or something is not what it must be; it names it.
    """
    turns = as_messages(messages)
    if system is not None:
        turns = (Message("system", check_parameter("system", system)), *turns)
    said = {name: check_parameter(name, value) for name, value in parameters.items() if value is not None}
    request = CompletionRequest(messages=turns, model=model, stream=stream, facts=facts, **said)
    if request.tool_choice is not None:
        _check_choice(request)
    if request.parallel_tool_calls is not None and not request.tools:
        msg = "parallel_tool_calls says nothing without tools."
        raise ConfigurationError(msg)
    return request


def _check_choice(request: CompletionRequest) -> None:
    names = [tool.name for tool in request.tools]
    if not names:
        msg = "tool_choice says nothing without tools."
        raise ConfigurationError(msg)
    if request.tool_choice not in (*CHOICES, *names):
        msg = f"tool_choice is one of {', '.join(CHOICES)}, or a tool's name ({', '.join(names)}), not {request.tool_choice!r}."
        raise ConfigurationError(msg)


def check_seconds(name: str, value: Any) -> float:
    """Return *value*, a number of seconds above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0 or math.isnan(value):
        msg = f"{name} is a number of seconds above zero, not {value!r}."
        raise ConfigurationError(msg)
    return float(value)
