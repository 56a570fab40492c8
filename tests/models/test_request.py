"""One request, checked at the door."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigurationError
from llmkit.models.content import system, user
from llmkit.models.request import PARAMETERS, CompletionRequest, check_headers, check_parameter, check_seconds, make_request
from llmkit.structured import ResponseFormat
from llmkit.tools import Tool


def said(request: CompletionRequest) -> list[str]:
    """Return the names of the parameters that a request has."""
    return [name for name in PARAMETERS if getattr(request, name) not in (None, ())]


TOOL = Tool(name="look", parameters={"type": "object", "properties": {}})


def look(n: int) -> str:
    """Look at n."""
    return str(n)


def test_what_was_not_said_is_not_in_the_request() -> None:
    """None is "not said"."""
    request = make_request("Hi", model="m", temperature=None, tools=None)

    assert ([], (user("Hi"),), "m", False) == (said(request), request.messages, request.model, request.stream)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("temperature", 0, 0),
        ("temperature", 2.0, 2.0),
        ("top_p", 1, 1),
        ("top_k", 1, 1),
        ("max_tokens", 1, 1),
        ("stop", "a", ("a",)),
        ("stop", ["a", "b"], ("a", "b")),
        ("seed", -5, -5),
        ("frequency_penalty", -2, -2),
        ("presence_penalty", 2, 2),
        ("reasoning", "none", "none"),
        ("reasoning", 0, 0),
        ("user", "u", "u"),
        ("metadata", {"a": "b"}, {"a": "b"}),
        ("extra_body", {"a": None}, {"a": None}),
        ("extra_headers", {"X-A": "b\tc"}, {"X-A": "b\tc"}),
        ("tools", [TOOL], (TOOL,)),
        ("response_format", "json", ResponseFormat(kind="json")),
    ],
)
def test_a_parameter_that_was_said_is_kept(name: str, value: Any, kept: Any) -> None:
    """Zero and false count as said."""
    request = make_request("Hi", model="m", **{name: value})

    assert ([name], kept) == (said(request), getattr(request, name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("temperature", value) for value in (-0.1, 2.1, float("nan"), float("inf"), True, "1")],
        *[("top_p", value) for value in (-0.1, 1.1)],
        *[(name, value) for name in ("top_k", "max_tokens") for value in (0, -1, 1.0, True, "1")],
        *[("stop", value) for value in ("", [], [""], ["a", ""], ["a", 5], 5, {"a"})],
        *[("seed", value) for value in (1.0, True, "1")],
        *[(name, value) for name in ("frequency_penalty", "presence_penalty") for value in (-2.1, 2.1, "0")],
        *[("reasoning", value) for value in ("max", "", -1, 1.0, True, [])],
        *[("user", value) for value in ("", 5)],
        *[("metadata", value) for value in ({"a": 1}, {1: "a"}, "a", [])],
        *[("extra_body", value) for value in ({1: 2}, "a", [("a", 1)])],
        *[("extra_headers", value) for value in ({"X": 1}, "X: 1")],
        *[("parallel_tool_calls", value) for value in (1, "yes")],
        *[("tools", value) for value in ("look", 5, {"type": "function"}, [5])],
        *[("tool_choice", value) for value in ("", 5, {}, {"function": 5})],
        *[("response_format", value) for value in ("xml", {"type": "video"}, [])],
    ],
)
def test_what_a_parameter_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    """The error names the parameter, so that its place is found."""
    with pytest.raises(ConfigurationError, match=name.removesuffix("s")):
        check_parameter(name, value)


@given(
    name=st.sampled_from(sorted(PARAMETERS)),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)
def test_checking_raises_nothing_else(name: str, value: Any) -> None:
    """Whatever is given as whichever parameter."""
    with suppress(ConfigurationError):
        check_parameter(name, value)


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    """With the nearest, or the way to say what one provider alone knows."""
    with pytest.raises(ConfigurationError, match=r"'temprature'.*Did you mean 'temperature'"):
        make_request("Hi", model="m", temprature=1)
    with pytest.raises(ConfigurationError, match=r"'logprobs'.*extra_body"):
        make_request("Hi", model="m", logprobs=True)


def test_a_system_text_comes_first() -> None:
    """Before whatever the messages begin with."""
    assert (system("Be kind."), system("x"), user("Hi")) == make_request([system("x"), user("Hi")], model="m", system="Be kind.").messages
    with pytest.raises(ConfigurationError, match="system"):
        make_request("Hi", model="m", system="")


@pytest.mark.parametrize(
    "choice", ["auto", "none", "required", "look", {"type": "function", "function": {"name": "look"}}, {"name": "look"}, look]
)
def test_a_choice_is_a_word_or_a_tool(choice: Any) -> None:
    """By its name, in OpenAI's form, or as the function itself."""
    found = make_request("Hi", model="m", tools=[look], tool_choice=choice).tool_choice

    assert found == (choice if isinstance(choice, str) else "look")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tool_choice": "auto"}, "nothing without tools"),
        ({"parallel_tool_calls": True}, "nothing without tools"),
        ({"tools": [TOOL], "tool_choice": "hear"}, r"or a tool's name \(look\), not 'hear'"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, Any], words: str) -> None:
    """Before a server has to."""
    with pytest.raises(ConfigurationError, match=words):
        make_request("Hi", model="m", **parameters)


@pytest.mark.parametrize("name", ["Authorization", "HOST", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization"])
def test_headers_that_are_not_the_users_are_refused(name: str) -> None:
    """They change where a request goes, how it is framed or who pays."""
    with pytest.raises(ConfigurationError, match=f"cannot set {name}"):
        check_headers("extra_headers", {name: "canary"})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "-"])
def test_a_header_has_a_name(name: str) -> None:
    """One that HTTP knows as such."""
    with pytest.raises(ConfigurationError, match="no header's"):
        check_headers("extra_headers", {name: "x"})


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\0", "ä", "\x7f", "\x1b[31m"])
def test_a_header_is_one_line_of_ascii(value: str) -> None:
    """And the error does not show it: it may be a key."""
    with pytest.raises(ConfigurationError, match="X-A has a line break") as refused:
        check_headers("extra_headers", {"X-A": value})

    assert value not in str(refused.value)


@pytest.mark.parametrize("value", ["Bearer canary", [("X-Api-Key", "canary")], {1: "canary"}, {"X-Api-Key": ["canary"]}])
def test_no_error_shows_what_may_be_a_key(value: Any) -> None:
    """Headers of another type are refused by their type."""
    for name in ("extra_headers", "metadata"):
        with pytest.raises(ConfigurationError) as refused:
            check_parameter(name, value)
        assert "canary" not in str(refused.value)


def test_what_may_hold_a_key_is_not_shown() -> None:
    """A request is in tracebacks and logs."""
    request = make_request("Hi", model="m", extra_headers={"X-Key": "canary"}, extra_body={"key": "canary"})

    assert "canary" not in repr(request)


def test_what_the_caller_changes_later_is_not_in_the_request() -> None:
    """Dicts are copied."""
    body: dict[str, Any] = {"a": 1}
    request = make_request("Hi", model="m", extra_body=body)

    body["a"] = 2

    assert {"a": 1} == request.extra_body


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "5", None])
def test_seconds_are_a_number_above_zero(value: Any) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match="timeout is a number of seconds"):
        check_seconds("timeout", value)


def test_seconds_become_a_float() -> None:
    """Whole ones, too."""
    assert (5.0, float) == (check_seconds("timeout", 5), type(check_seconds("timeout", 5)))
