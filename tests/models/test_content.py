"""Messages and parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from llmkit.errors import ConfigurationError
from llmkit.models.content import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    as_parts,
    assistant,
    system,
    tool_result,
    user,
)

CALL = ToolCall("a", "look", {"n": 1})


def test_builders_make_messages_of_strings_and_parts() -> None:
    """Each for its role; strings become texts."""
    image = Image(url="https://x.example/a.png")

    assert Message("system", (Text("Be kind."),)) == system("Be kind.")
    assert Message("user", (Text("a"), image)) == user("a", image)
    assert Message("assistant", (Text("a"), CALL)) == assistant("a", CALL)


@pytest.mark.parametrize("content", ["a", Text("a"), ["a"], (Text("a"),), iter(["a"])])
def test_content_may_be_said_in_many_ways(content: Any) -> None:
    """A string, a part, or any iterable of both, is a tuple of parts."""
    assert (Text("a"),) == Message("user", content).content


@pytest.mark.parametrize("content", [5, None, {"type": "text"}, [5], ["a", None], b"a", [["a"]]])
def test_content_of_anything_else_is_refused_by_name(content: Any) -> None:
    """The error names the type that does not fit."""
    with pytest.raises(ConfigurationError, match=r"made of strings and parts, not of (int|NoneType|dict|list)"):
        as_parts(content)


@pytest.mark.parametrize("role", ["User", "developer", "", None, 5, ["user"]])
def test_a_role_is_one_of_four(role: Any) -> None:
    """The error lists them."""
    with pytest.raises(ConfigurationError, match="system, user, assistant, tool"):
        Message(role, "a")


def test_a_message_shows_its_parts_by_kind() -> None:
    """Texts joined, thoughts joined, calls in order."""
    message = assistant(Thinking("H"), Thinking("m"), "a", CALL, "b")

    assert ("ab", "Hm", (CALL,)) == (message.text, message.thinking, message.tool_calls)


def test_values_cannot_be_changed() -> None:
    """A history that was sent stays what it was."""
    with pytest.raises(FrozenInstanceError):
        user("a").role = "system"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Sunny", "Sunny"),
        ("", ""),
        (Text("a"), "a"),
        (["a", Text("b")], "ab"),
        (5, "5"),
        (None, "null"),
        ([], "[]"),
        (["a", "b"], '["a", "b"]'),
        ({"é": [True]}, '{"é": [true]}'),
    ],
)
def test_a_tools_result_is_text_parts_or_json(value: Any, text: str) -> None:
    """A list is one of parts if a part is in it, and JSON if not."""
    (result,) = tool_result(CALL, value).content

    assert ToolResult("a", "look", tuple(result.content)) == result  # type: ignore[union-attr]  # it is the result
    assert text == result.text  # type: ignore[union-attr]


def test_a_result_names_its_call_by_object_or_id() -> None:
    """Of an id alone, the name is not known."""
    assert Message("tool", (ToolResult("a", "look", "x", True),)) == tool_result(CALL, "x", is_error=True)
    assert Message("tool", (ToolResult("a", "", "x"),)) == tool_result("a", "x")


@pytest.mark.parametrize("value", [object(), {object()}, float("nan"), b"x", ["a", Text("b"), 5]])
def test_a_result_that_cannot_be_said_is_refused(value: Any) -> None:
    """Neither text nor parts nor JSON."""
    with pytest.raises(ConfigurationError):
        tool_result(CALL, value)


def test_a_result_nested_without_end_is_refused() -> None:
    """No error of the interpreter's comes out."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ConfigurationError, match="tool's result"):
        tool_result(CALL, endless)


@pytest.mark.parametrize("call", [None, 5, {"id": "a"}])
def test_a_result_of_no_call_is_refused(call: Any) -> None:
    """It answers a call, or the id of one."""
    with pytest.raises(ConfigurationError, match="tool_result answers"):
        tool_result(call, "x")


@pytest.mark.parametrize("cls", [Image, Audio, Document])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one"),
        ({"url": "u", "data": b"d", "media_type": "a/b"}, "exactly one"),
        ({"data": b"d"}, "media_type"),
        ({"data": "text", "media_type": "a/b"}, "data= as bytes, not str"),
        ({"url": b"u"}, "url= as str, not bytes"),
    ],
)
def test_media_come_by_url_or_as_data(cls: type[Image], arguments: dict[str, Any], words: str) -> None:
    """Exactly one of both, and data with their type."""
    with pytest.raises(ConfigurationError, match=words):
        cls(**arguments)


@pytest.mark.parametrize(
    ("cls", "name", "media_type"),
    [
        (Image, "a.png", "image/png"),
        (Image, "a.jpeg", "image/jpeg"),
        (Document, "a.pdf", "application/pdf"),
        (Document, "a.txt", "text/plain"),
    ],
)
def test_media_are_read_from_a_path(cls: type[Image], name: str, media_type: str, tmp_path: Path) -> None:
    """The name tells the type."""
    path = tmp_path / name
    path.write_bytes(b"data")

    read = cls.from_path(path, cache=True)

    assert cls(data=b"data", media_type=media_type, name=name, cache=True) == read == cls.from_path(str(path), cache=True)


def test_sound_is_read_from_a_path(tmp_path: Path) -> None:
    """As a sound, whichever of its names the system has for the type."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")

    sound = Audio.from_path(path)

    assert (b"RIFF", True) == (sound.data, str(sound.media_type).startswith("audio/"))


def test_a_file_whose_type_is_not_known_is_refused(tmp_path: Path) -> None:
    """Guessing would send nonsense."""
    with pytest.raises(ConfigurationError, match=r"media type of 'a\.unheard'"):
        Image.from_path(tmp_path / "a.unheard")


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    """In Python's own word."""
    with pytest.raises(FileNotFoundError):
        Image.from_path(tmp_path / "a.png")


def test_media_say_themselves_as_urls() -> None:
    """Data in base64, a link as it is."""
    data, link = Image(data=b"\x00\xff", media_type="image/png"), Image(url="https://x.example/a.png")

    assert ("AP8=", "data:image/png;base64,AP8=") == (data.base64(), data.data_url())
    assert ("", "https://x.example/a.png") == (link.base64(), link.data_url())


def test_what_is_large_or_secret_is_not_shown() -> None:
    """A log line is no place for a picture, or for sealed thoughts."""
    parts = [
        Image(data=b"canary", media_type="image/png"),
        Thinking("t", data="canary"),
        Native("p", "canary"),
        ToolCall("a", "f", text="canary", data="canary"),
    ]

    assert "canary" not in repr(parts)


def test_calls_are_equal_by_what_they_mean() -> None:
    """How the arguments were spelled does not matter."""
    assert ToolCall("a", "f", {"x": 1}, text='{"x":1}') == ToolCall("a", "f", {"x": 1}, text='{ "x": 1 }')
