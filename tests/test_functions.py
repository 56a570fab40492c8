"""Typed functions that a model answers."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

import llmkit
import llmkit_async
from llmkit import Client, CompletionResponse, ConfigurationError, Image, StructuredOutputError
from llmkit.functions import forget_default_clients
from llmkit.testing import FakeServer, MockTransport, Reply
from llmkit_async import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class City:
    name: str
    people: int


PARIS = '{"name": "Paris", "people": 2100000}'


def scripted(*replies: Any) -> tuple[Client, MockTransport]:
    transport = MockTransport(list(replies))
    return Client(transport=transport), transport


def prompt_of(transport: MockTransport, number: int = 0) -> Any:
    return transport.requests[number].json["messages"][-1]["content"]


def test_the_docstring_is_the_prompt_and_the_annotation_the_shape() -> None:
    """Arguments stand in their places, defaults too."""
    client, transport = scripted(PARIS)

    @client.function
    def largest_city(country: str, year: int = 2020) -> City:
        """
        Name the largest city of {country}.

        Use the numbers of {year:d}.
        """

    assert City("Paris", 2100000) == largest_city("France")
    assert "Name the largest city of France.\n\nUse the numbers of 2020." == prompt_of(transport)


def test_text_is_returned_as_it_is() -> None:
    """Where text is wanted, or nothing is said."""
    client, transport = scripted("one", "two")

    @client.function
    def said(word: str) -> str:
        """Say {word}."""

    @client.function
    def unsaid(word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Say {word}."""

    assert ("one", "two") == (said("a"), unsaid("b"))
    assert all("response_format" not in request.json for request in transport.requests)


def test_the_whole_answer_can_be_had() -> None:
    """With what it cost."""
    client, _ = scripted("one")

    @client.function
    def said(word: str) -> CompletionResponse:
        """Say {word}."""

    assert "one" == said("a").text
    assert said.__annotations__["return"] in (CompletionResponse, "CompletionResponse")


def test_options_go_with_each_call() -> None:
    """Parameters, model and repair."""
    client, transport = scripted('{"name": 1}', PARIS)

    @client.function(model="gpt-4o", temperature=0, system="Be brief.", repair=1)
    def where(country: str) -> City:
        """Where is {country}?"""

    assert City("Paris", 2100000) == where(country="France")
    assert [("gpt-4o", 0, 2), ("gpt-4o", 0, 4)] == [
        (request.json["model"], request.json["temperature"], len(request.json["messages"])) for request in transport.requests
    ]


def test_what_does_not_fit_is_raised() -> None:
    """As by ``complete``."""
    client, _ = scripted('{"name": 1}')

    @client.function
    def where(country: str) -> City:
        """Where is {country}?"""

    with pytest.raises(StructuredOutputError):
        where("France")


def test_an_argument_is_no_template() -> None:
    """Braces in it are braces; those of the docstring are written twice."""
    client, transport = scripted("done")

    @client.function
    def said(word: str) -> str:
        """Say {word!r} as {{"json": 1}}."""

    said("{secret} {0}")

    assert "Say '{secret} {0}' as {\"json\": 1}." == prompt_of(transport)


def test_parts_of_a_message_stand_where_they_belong() -> None:
    """An image between two texts."""
    client, transport = scripted("a cat")

    @client.function
    def what(picture: Image, language: str) -> str:
        """What is {picture}? Answer in {language}."""

    what(Image(url="https://x.example/cat.png"), "French")

    content = prompt_of(transport)
    assert ["text", "image_url", "text"] == [part["type"] for part in content]
    assert ["What is ", "? Answer in French."] == [content[0]["text"], content[2]["text"]]


def test_attributes_and_items_of_an_argument_have_places() -> None:
    """As in any format string."""
    client, transport = scripted("done")

    @client.function
    def said(city: City, row: dict[str, int]) -> str:
        """Say {city.name}: {row[x]}."""

    said(City("Paris", 1), {"x": 5})

    assert "Say Paris: 5." == prompt_of(transport)


def test_a_format_may_name_a_parameter_too() -> None:
    """As the width that another is written in."""
    client, transport = scripted("done")

    @client.function
    def said(word: str, width: int) -> str:
        """Say {word:>{width}}."""

    said("no", 4)

    assert "Say   no." == prompt_of(transport)


def test_only_what_it_returns_must_be_importable() -> None:
    """What it takes goes into a text, whatever it is."""
    client, _ = scripted(PARIS)

    @client.function
    def city_of(words: Sequence[str]) -> City:
        """Where is {words[0]}?"""

    assert City("Paris", 2100000) == city_of(["the Louvre"])


def test_a_method_may_be_one() -> None:
    """Its object needs no place."""
    client, transport = scripted("done")

    class Writer:
        tone = "kind"

        @client.function
        def write(self, topic: str) -> str:
            """Write of {topic}, and be {self.tone}."""

        @client.function
        def rest(self) -> str:
            """Rest."""

    Writer().write("cats")

    assert "Write of cats, and be kind." == prompt_of(transport)


def test_it_looks_like_the_function_that_it_was() -> None:
    """Name, docstring and signature are kept; wrong arguments are a ``TypeError``."""
    client, transport = scripted()

    @client.function
    def said(word: str) -> str:
        """Say {word}."""

    assert ("said", "Say {word}.", ["word"]) == (said.__name__, said.__doc__, list(inspect.signature(said).parameters))
    with pytest.raises(TypeError):
        said()  # type: ignore[call-arg]
    assert [] == transport.requests


def no_docstring(word: str) -> str:
    return word


def strange_place(word: str) -> str:
    """Say {wrod}."""


def unused_parameter(word: str, other: int) -> str:
    """Say {word}."""


def broken_template(word: str) -> str:
    """Say {word} and {."""


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_docstring, "no docstring"),
        (strange_place, "'wrod'"),
        (unused_parameter, "'other'"),
        (broken_template, "no template"),
        ("text", "decorates a function"),
    ],
)
def test_what_cannot_work_is_refused_at_once(function: Any, why: str) -> None:
    """When it is decorated, not when it is called."""
    with pytest.raises(ConfigurationError, match=why):
        llmkit.llm_function(function)


@pytest.mark.parametrize("options", [{"temprature": 0}, {"response_format": City}, {"temperature": 9}, {"timeout": -1}])
def test_an_option_that_is_none_is_refused_at_once(options: dict[str, Any]) -> None:
    """By name."""

    def said(word: str) -> str:
        """Say {word}."""

    with pytest.raises(ConfigurationError, match=next(iter(options))):
        llmkit.llm_function(**options)(said)


@llmkit.llm_function
def at_module(word: str) -> City:
    """Where is {word}?"""


@llmkit_async.llm_function(temperature=0)
async def at_module_awaited(word: str) -> City:
    """Where is {word}?"""


@pytest.fixture
def environment(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server to which the environment points."""
    monkeypatch.setenv("LLMKIT_MODEL", "openai/gpt-4o-mini")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))
    server.always(Reply(PARIS))
    forget_default_clients()
    yield server
    forget_default_clients()


def test_the_client_is_found_when_it_is_first_needed(environment: FakeServer) -> None:
    """One for all functions that were given none."""
    assert [City("Paris", 2100000)] * 2 == [at_module("France"), at_module("France")]
    assert (2, 1) == (environment.hits, environment.connections)


def test_an_async_function_is_awaited(environment: FakeServer) -> None:
    """On one loop after the other."""
    assert inspect.iscoroutinefunction(at_module_awaited)
    for _ in range(2):
        assert City("Paris", 2100000) == asyncio.run(at_module_awaited("France"))
    assert 0 == environment.requests[0].json["temperature"]


def test_each_face_has_its_own_kind_of_function() -> None:
    """Else nobody would wait for the answer."""
    client, transport = scripted(PARIS)

    def said(word: str) -> City:
        """Say {word}."""

    async def awaited(word: str) -> City:
        """Say {word}."""

    with pytest.raises(ConfigurationError, match=r"llmkit_async\.llm_function"):
        asyncio.run(client.function(awaited)("a"))
    with pytest.raises(ConfigurationError, match=r"llmkit\.llm_function"):
        AsyncClient(transport=transport).function(said)("a")
    with pytest.raises(ConfigurationError, match=r"llmkit_async\.llm_function"):
        asyncio.run(llmkit.llm_function(client=client)(awaited)("a"))

    assert City("Paris", 2100000) == asyncio.run(AsyncClient(transport=transport).function(awaited)("a"))
