"""
Reading what ``complete()`` is given as messages: a string, a message, or a list of messages and OpenAI-style dicts.

Source of the dicts' shape: OpenAI API reference, "Create chat completion", read 2026-11-21.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmkit.errors import ConfigurationError
from llmkit.models.content import (
    PARTS,
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmkit.models.surrogates import sayable, with_whole_escapes

__all__ = ["as_messages", "decode_arguments"]

# What older and newer dialects of the wire call a role.
_ROLES = {"developer": "system", "function": "tool", "model": "assistant"}


def as_messages(messages: Any) -> tuple[Message, ...]:
    """
    Return *messages* as a tuple of ``Message``.

    Raises:
        ConfigurationError: If there are none, or one of them is neither a message nor a dict that reads as one; it says which.
    """
    if isinstance(messages, str):
        if not messages:
            msg = "messages is an empty string: there is nothing to ask."
            raise ConfigurationError(msg)
        return (Message("user", messages),)
    if isinstance(messages, Message):
        return (messages,)
    if isinstance(messages, PARTS):
        return (Message("user", messages),)
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        msg = f"messages is a string, a Message, or a list of Messages and dicts, not {type(messages).__name__}."
        raise ConfigurationError(msg)
    turns: list[Message] = []
    for index, item in enumerate(messages):
        turns.append(item if isinstance(item, Message) else _read(item, f"messages[{index}]", turns))
    if not turns:
        msg = "messages is empty: there is nothing to ask."
        raise ConfigurationError(msg)
    return tuple(turns)


def _read(item: Any, where: str, before: list[Message]) -> Message:
    if not isinstance(item, Mapping):
        msg = f"{where} is a Message or a dict with 'role' and 'content', not {type(item).__name__}."
        raise ConfigurationError(msg)
    role = item.get("role")
    if not isinstance(role, str):
        msg = f"{where} has no 'role'."
        raise ConfigurationError(msg)
    role = _ROLES.get(role, role)
    if role == "tool":
        return Message("tool", _read_result(item, where, before))
    parts = [*_read_thinking(item), *_read_content(item.get("content"), where)]
    if isinstance(item.get("refusal"), str) and item["refusal"] and not parts:
        parts.append(Text(item["refusal"]))
    parts.extend(_read_call(call, where) for call in _calls_in(item, where))
    if not parts and role != "assistant":
        msg = f"{where} has no 'content'."
        raise ConfigurationError(msg)
    name = item.get("name")
    if name is not None and not isinstance(name, str):
        msg = f"{where}: 'name' is a string, not {type(name).__name__}."
        raise ConfigurationError(msg)
    try:
        return Message(role, parts, name=name)
    except ConfigurationError as error:
        msg = f"{where}: {error.message}"
        raise ConfigurationError(msg) from None


def _read_thinking(item: Mapping[str, Any]) -> list[Part]:
    text = item.get("reasoning_content") or item.get("reasoning")
    details = item.get("reasoning_details")
    if not isinstance(details, list) or not details:
        return [Thinking(text)] if isinstance(text, str) and text else []
    return [Thinking(text if isinstance(text, str) else "", data={"reasoning_details": details})]


def _read_content(content: Any, where: str) -> list[Part]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(content)]
    if isinstance(content, Mapping) or not isinstance(content, Iterable):
        msg = f"{where}: 'content' is a string or a list of parts, not {type(content).__name__}."
        raise ConfigurationError(msg)
    return [_read_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)]


def _read_part(part: Any, where: str) -> Part:
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, PARTS):
        return part  # type: ignore[return-value]  # isinstance against the union's own members
    if not isinstance(part, Mapping):
        msg = f"{where} is a string, a part or a dict, not {type(part).__name__}."
        raise ConfigurationError(msg)
    reader = _READERS.get(str(part.get("type")))
    if reader is None:
        msg = f"{where} has the type {part.get('type')!r}; known are {', '.join(_READERS)}."
        raise ConfigurationError(msg)
    try:
        return reader(part)
    except (KeyError, TypeError, AttributeError):
        msg = f"{where} is not what a part of type {part.get('type')!r} looks like."
        raise ConfigurationError(msg) from None
    except ConfigurationError as error:
        msg = f"{where}: {error.message}"
        raise ConfigurationError(msg) from None


def _read_text(part: Mapping[str, Any]) -> Part:
    return Text(_text(part["text"]), cache="cache_control" in part)


def _read_thought(part: Mapping[str, Any]) -> Part:
    inner = part.get("thinking") or part.get("summary") or part.get("text")
    texts = [item.get("text") for item in inner if isinstance(item, Mapping)] if isinstance(inner, list) else [inner]
    return Thinking("".join(text for text in texts if isinstance(text, str)), data={"content": [dict(part)]})


def _read_refusal(part: Mapping[str, Any]) -> Part:
    return Text(_text(part["refusal"]))


def _read_image(part: Mapping[str, Any]) -> Part:
    image = part["image_url"]
    link, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
    detail = None if detail is None else _text(detail)
    media_type, data = _data_url(link)
    cached = "cache_control" in part
    if data is None:
        return Image(url=_text(link), detail=detail, cache=cached)
    return Image(data=data, media_type=media_type, detail=detail, cache=cached)


def _read_audio(part: Mapping[str, Any]) -> Part:
    audio = part["input_audio"]
    return Audio(data=_decode(audio["data"]), media_type=f"audio/{audio['format']}")


def _read_file(part: Mapping[str, Any]) -> Part:
    file = part["file"]
    if file.get("file_id"):
        return Native("openai", dict(part))
    media_type, data = _data_url(file["file_data"])
    if data is None:
        return Document(data=_decode(file["file_data"]), media_type="application/pdf", name=file.get("filename"))
    return Document(data=data, media_type=media_type, name=file.get("filename"))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "text": _read_text,
    "input_text": _read_text,
    "output_text": _read_text,
    "thinking": _read_thought,
    "reasoning": _read_thought,
    "refusal": _read_refusal,
    "image_url": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
}


def _calls_in(item: Mapping[str, Any], where: str) -> list[Any]:
    calls = item.get("tool_calls") or []
    if not isinstance(calls, (list, tuple)):
        msg = f"{where}: 'tool_calls' is a list, not {type(calls).__name__}."
        raise ConfigurationError(msg)
    old = item.get("function_call")  # before there were several, a call had no id: its function's name stands for it
    return [*calls, {"id": old.get("name"), "function": old}] if isinstance(old, Mapping) and not calls else [*calls]


def _read_call(call: Any, where: str) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not function.get("name"):
        msg = f"{where}: a tool call has an 'id' and a 'function' with 'name' and 'arguments'."
        raise ConfigurationError(msg)
    arguments, text, invalid = decode_arguments(function.get("arguments"))
    # Google's seal on its thoughts hangs on the call. None says that it goes back to whoever is asked: whose it is, is not said here.
    data = {"provider": None, "extra_content": call["extra_content"]} if call.get("extra_content") else None
    return ToolCall(str(call.get("id") or ""), str(function["name"]), arguments, text=text, invalid=invalid, data=data)


def _read_result(item: Mapping[str, Any], where: str, before: list[Message]) -> ToolResult:
    call_id = item.get("tool_call_id")
    if call_id is None and item.get("role") == "function":
        call_id = item.get("name")
    if not isinstance(call_id, str) or not call_id:
        msg = f"{where}: a tool message names the call it answers in 'tool_call_id'."
        raise ConfigurationError(msg)
    # Some wires want the name, which the OpenAI form leaves out: the call itself has it.
    asked = {call.id: call.name for turn in before for call in turn.tool_calls}
    name = item.get("name") or asked.get(call_id, "")
    return ToolResult(call_id, str(name), tuple(_read_content(item.get("content"), where)))


def decode_arguments(arguments: Any) -> tuple[Mapping[str, Any], str | None, str | None]:
    """
    Return a tool call's arguments as ``(decoded, text, why not)``, from whatever form a server gave them.

    Servers send a JSON string, an object, ``""`` or nothing; what is no JSON object is kept as text and never lost. Half of a surrogate
    pair is read as U+FFFD.
    """
    if isinstance(arguments, Mapping):
        return dict(arguments), None, None
    if arguments is None or arguments == "":
        return {}, None, None
    text = arguments if isinstance(arguments, str) else repr(arguments)
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        decoded = _DECODER.decode(with_whole_escapes(sayable(text)))
    except (TypeError, ValueError, RecursionError) as error:
        return {}, text, f"the arguments are not JSON: {error}"
    if not isinstance(decoded, dict):
        return {}, text, f"the arguments are a JSON {type(decoded).__name__}, not an object"
    return decoded, text, None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number")
    return number


# Python reads and writes more than JSON has, and what it reads of that no provider would take back.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _data_url(link: Any) -> tuple[str | None, bytes | None]:
    """Return the media type and data of a ``data:`` URL (RFC 2397); nothing of any other."""
    if not _text(link).startswith("data:"):
        return None, None
    head, _, payload = link[5:].partition(",")
    media_type, _, coding = head.partition(";")
    if coding.split(";")[-1] != "base64":
        msg = "A data: URL must be in base64 here."
        raise ConfigurationError(msg)
    return media_type or "application/octet-stream", _decode(payload)


def _decode(payload: Any) -> bytes:
    try:
        return base64.b64decode(_text(payload), validate=True)
    except (binascii.Error, ValueError):
        msg = "The data is not base64."
        raise ConfigurationError(msg) from None
