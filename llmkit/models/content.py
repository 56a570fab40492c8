"""
Messages and the parts they are made of: the words in which every provider is spoken to.

A ``Message`` is a role and a tuple of parts. ``system``, ``user``, ``assistant`` and ``tool_result`` make one from strings and parts;
``as_messages`` reads whatever ``complete()`` accepts, OpenAI-style dicts included.
"""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from attrs import field

from llmkit.errors import ConfigurationError
from llmkit.values import frozen

__all__ = [
    "Audio",
    "Document",
    "Image",
    "Message",
    "Messages",
    "Native",
    "Part",
    "Role",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolResult",
    "assistant",
    "system",
    "tool_result",
    "user",
]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = get_args(Role)


@frozen
class Text:
    """A piece of text. ``cache`` marks a prompt-cache breakpoint behind it, where the provider has them."""

    text: str
    cache: bool = field(default=False, kw_only=True)


@frozen(kw_only=True)
class Media:
    """
    Something that is no text: by ``url``, or as ``data`` (bytes) with its ``media_type``. Nothing is fetched from here.

    ``name`` is a file name for those providers that show one to the model.
    """

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None
    name: str | None = None
    cache: bool = False

    def __attrs_post_init__(self) -> None:
        word = type(self).__name__
        if (self.url is None) == (self.data is None):
            msg = f"{word} takes either url= or data=, and exactly one of them."
            raise ConfigurationError(msg)
        for name, value, cls in (("url", self.url, str), ("data", self.data, bytes)):
            if value is not None and not isinstance(value, cls):
                msg = f"{word} takes {name}= as {cls.__name__}, not {type(value).__name__}."
                raise ConfigurationError(msg)
        if self.data is not None and not self.media_type:
            msg = f"{word}(data=...) needs media_type=, for example {_EXAMPLES.get(word, 'text/plain')!r}."
            raise ConfigurationError(msg)

    @classmethod
    def _read(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        file = Path(path)
        media_type, _ = mimetypes.guess_type(file.name)
        if media_type is None:
            msg = f"The media type of {file.name!r} cannot be told from its name: pass data= and media_type= instead."
            raise ConfigurationError(msg)
        return {"data": file.read_bytes(), "media_type": media_type, "name": file.name}

    def base64(self) -> str:
        """Return the data in base64; empty where there is only a URL."""
        return base64.b64encode(self.data or b"").decode("ascii")

    def data_url(self) -> str:
        """Return the URL as it is, or the data as a ``data:`` URL (RFC 2397)."""
        return self.url if self.url is not None else f"data:{self.media_type};base64,{self.base64()}"


_EXAMPLES = {"Image": "image/png", "Audio": "audio/wav", "Document": "application/pdf"}


@frozen(kw_only=True)
class Image(Media):
    """A picture. ``detail`` (``"low"``, ``"high"``, ``"auto"``) where the provider lets one choose how closely it looks."""

    detail: str | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, detail: str | None = None, cache: bool = False) -> Image:
        """Return the picture in the file at *path*, read now."""
        return cls(**cls._read(path), detail=detail, cache=cache)


# These two add no field, and so have nothing of their own for attrs to write.


class Audio(Media):
    """A sound."""

    __slots__ = ()

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, cache: bool = False) -> Audio:
        """Return the sound in the file at *path*, read now."""
        return cls(**cls._read(path), cache=cache)


class Document(Media):
    """A document, such as a PDF."""

    __slots__ = ()

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, cache: bool = False) -> Document:
        """Return the document in the file at *path*, read now."""
        return cls(**cls._read(path), cache=cache)


@frozen
class Thinking:
    """
    What a model thought. ``signature`` is the provider's seal on it, sent back byte for byte.

    ``data`` is whatever else the provider wants back with it, in its own shape (encrypted thoughts, ids); ``provider`` says whose.
    """

    text: str = ""
    signature: str | None = None
    provider: str | None = field(default=None, kw_only=True)
    data: Any = field(default=None, kw_only=True, repr=False)


@frozen
class ToolCall:
    """
    A model's wish to have a tool called.

    ``arguments`` is the decoded JSON object. ``text`` is what the model wrote, kept so that the history goes back as it came; where
    that is no JSON object, ``arguments`` is empty and ``invalid`` says why. ``data`` is what the provider wants back with the call.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(factory=dict)
    text: str | None = field(default=None, kw_only=True, repr=False, eq=False)
    invalid: str | None = field(default=None, kw_only=True)
    data: Any = field(default=None, kw_only=True, repr=False)


def _as_parts(content: Any) -> tuple[Part, ...]:
    # By its own name, since a part stands in the tuple of parts that the function below knows.
    return as_parts(content)


@frozen
class ToolResult:
    """What a tool gave back: text, or parts (images and documents too)."""

    call_id: str
    name: str
    content: tuple[Part, ...] = field(converter=_as_parts)
    is_error: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content if isinstance(part, Text))


@frozen
class Native:
    """A block that only its provider understands, sent back to it as it came and to nobody else."""

    provider: str
    data: Any = field(repr=False)


Part: TypeAlias = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Native
PARTS: tuple[type, ...] = get_args(Part)


def as_parts(content: Any) -> tuple[Part, ...]:
    """Return *content* (a string, a part, or an iterable of both) as a tuple of parts; refuses anything else by name."""
    if content.__class__ is tuple and len(content) == 1 and content[0].__class__ is Text:
        return cast("tuple[Part, ...]", content)  # most answers
    if isinstance(content, str):
        return (Text(content),)
    if isinstance(content, PARTS):
        return (cast("Part", content),)
    if isinstance(content, Mapping) or not isinstance(content, Iterable):
        msg = f"A message is made of strings and parts, not of {type(content).__name__}."
        raise ConfigurationError(msg)
    parts: list[Part] = []
    for piece in content:
        if isinstance(piece, str):
            parts.append(Text(piece))
        elif isinstance(piece, PARTS):
            parts.append(cast("Part", piece))
        else:
            msg = f"A message is made of strings and parts, not of {type(piece).__name__}."
            raise ConfigurationError(msg)
    return tuple(parts)


def _as_role(role: str) -> Role:
    if role not in ROLES:
        msg = f"A message's role is one of {', '.join(ROLES)}, not {role!r}."
        raise ConfigurationError(msg)
    return role


@frozen
class Message:
    """One turn of a conversation. ``name`` tells speakers of one role apart, where the provider can."""

    role: Role = field(converter=_as_role)
    content: tuple[Part, ...] = field(default=(), converter=as_parts)
    name: str | None = field(default=None, kw_only=True)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join([part.text for part in self.content if isinstance(part, Text)])

    @property
    def thinking(self) -> str:
        """What the model thought, joined; empty where it did not say."""
        return "".join([part.text for part in self.content if isinstance(part, Thinking)])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple([part for part in self.content if isinstance(part, ToolCall)])


Messages: TypeAlias = str | Message | Iterable[Message | Mapping[str, Any]]


def system(*parts: str | Part) -> Message:
    """Return a system message."""
    return Message("system", parts)


def user(*parts: str | Part) -> Message:
    """Return a user message of strings and parts: ``user("What is this?", Image.from_path("cat.png"))``."""
    return Message("user", parts)


def assistant(*parts: str | Part) -> Message:
    """Return an assistant message, as if the model had said it."""
    return Message("assistant", parts)


def tool_result(call: ToolCall | str, value: Any, is_error: bool = False) -> Message:
    """
    Return the message that answers *call* (a ``ToolCall`` or its id) with *value*.

    Args:
        value: Text, a part, a list with parts in it (and strings), or anything JSON can say: records (attrs classes, dataclasses,
            pydantic models), dates, sets and their like too.
        is_error: Whether the tool failed; the model is told so where the provider can.

    Raises:
        ConfigurationError: If *value* is none of these.
    """
    call_id, name = _called(call)
    return Message("tool", ToolResult(call_id, name, _as_result(value), is_error))


def _called(call: Any) -> tuple[str, str]:
    if isinstance(call, ToolCall):
        return call.id, call.name
    if not isinstance(call, str):
        msg = f"tool_result answers a ToolCall, or names one by its id: {type(call).__name__} is neither."
        raise ConfigurationError(msg)
    return call, ""


def _as_result(value: Any) -> tuple[Part, ...]:
    if isinstance(value, (str, *PARTS)):
        return as_parts(value)
    if isinstance(value, (list, tuple)) and value and any(isinstance(piece, PARTS) for piece in value):
        return as_parts(value)
    import json

    from llmkit.schema.telling import as_plain

    try:
        return (Text(json.dumps(as_plain(value), ensure_ascii=False, allow_nan=False)),)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"A tool's result is text, parts or JSON; this {type(value).__name__} is none of them: {error}."
        raise ConfigurationError(msg) from None
