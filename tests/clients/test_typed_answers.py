"""Typed answers: recognised when they are none, asked for once more, and shown while they grow."""

from __future__ import annotations

import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import pytest
from attrs import frozen

from llmkit import (
    ConfigurationError,
    DeadlineExceededError,
    InternalError,
    StructuredOutputError,
    Usage,
)
from llmkit.testing import FakeServer, MockTransport, Reply

GOOD = '{"name": "Paris", "people": 2100000}'
BAD = '{"name": "Paris", "people": "many"}'


@frozen
class City:
    name: str
    people: int


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@pytest.fixture
def mock(face: Any) -> Callable[..., Any]:
    """Return a maker of clients that are answered out of a script."""

    def make(*replies: Any, **arguments: Any) -> Any:
        transport = MockTransport(list(replies))
        client = face.client(transport=transport, **arguments)
        client.asked = transport
        return client

    return make


def test_an_answer_that_does_not_fit_is_asked_for_once_more(mock: Any) -> None:
    """The model sees what it said, and what is wrong with it."""
    client = mock(BAD, GOOD)

    reply = client.complete("Where?", response_format=City, system="Be brief.", repair=1)

    said = [(turn["role"], turn["content"]) for turn in client.asked.requests[1].json["messages"]]
    assert City("Paris", 2100000) == reply.parsed
    assert [("system", "Be brief."), ("user", "Where?"), ("assistant", BAD)] == said[:3]
    assert "user" == said[3][0]
    assert '$.people: expected an integer, got "many"' in said[3][1]


def test_what_all_answers_used_is_counted(mock: Any) -> None:
    """Tokens, cost and attempts; on the client too."""
    client = mock(
        Reply(BAD, usage={"prompt_tokens": 10, "completion_tokens": 5}), Reply(GOOD, usage={"prompt_tokens": 30, "completion_tokens": 7})
    )

    reply = client.complete("Where?", response_format=City, repair=2)

    assert (40, 12) == (reply.usage.input_tokens, reply.usage.output_tokens)
    assert [1, 2] == [attempt.number for attempt in reply.attempts]
    assert reply.cost == client.usage.estimated_cost
    assert reply.cost is not None
    assert reply.cost > Decimal(0)


@pytest.mark.parametrize("repair", [0, 1, 3])
def test_it_is_never_asked_more_often_than_was_said(mock: Any, repair: int) -> None:
    """The last error is raised, with what it all came to."""
    client = mock(*[Reply(BAD, usage={"prompt_tokens": 10, "completion_tokens": 5})] * 9)

    with pytest.raises(StructuredOutputError, match="expected an integer") as caught:
        client.complete("Where?", response_format=City, repair=repair)

    assert repair + 1 == len(client.asked.requests) == len(caught.value.attempts)
    assert caught.value.response is not None
    assert 15 * (repair + 1) == caught.value.response.usage.total_tokens
    assert BAD == caught.value.text


def test_what_is_no_json_at_all_is_mended_too(mock: Any) -> None:
    """And an answer of nothing, which no history can hold."""
    client = mock("Paris, I think", "", GOOD)

    reply = client.complete("Where?", response_format=City, repair=2)

    assert City("Paris", 2100000) == reply.parsed
    assert ["user", "assistant", "user", "user"] == [turn["role"] for turn in client.asked.requests[2].json["messages"]]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply('{"name": "Par', finish_reason="length"), "cut at max_tokens"),
        (Reply(refusal="I would rather not."), "is a refusal"),
        (Reply(GOOD, finish_reason="content_filter"), "was filtered"),
    ],
)
def test_what_would_be_the_same_again_is_not_mended(mock: Any, reply: Reply, why: str) -> None:
    """It is recognised before it is read."""
    client = mock(reply, GOOD)

    with pytest.raises(StructuredOutputError, match=why):
        client.complete("Where?", response_format=City, repair=1)

    assert 1 == len(client.asked.requests)


def test_a_failure_while_mending_is_raised_with_all_attempts(mock: Any) -> None:
    """It is another matter than the answer."""
    client = mock(BAD, Reply.error(500), retry=None)

    with pytest.raises(InternalError) as caught:
        client.complete("Where?", response_format=City, repair=1)

    assert [200, 500] == [attempt.status for attempt in caught.value.attempts]


def test_one_deadline_holds_for_all(face: Any, server: FakeServer) -> None:
    """Mending does not begin it anew."""
    server.always(Reply(BAD, delay=0.06))
    client = face.client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="sk-0123456789")

    with pytest.raises(DeadlineExceededError):
        client.complete("Where?", response_format=City, repair=50, deadline=0.2)

    assert server.hits <= 4


def test_messages_that_can_be_read_once_are_mended_all_the_same(mock: Any) -> None:
    """A generator, say."""
    client = mock(BAD, GOOD)

    reply = client.complete(({"role": "user", "content": word} for word in ("One", "Two")), response_format=City, repair=1)

    assert City("Paris", 2100000) == reply.parsed
    assert 4 == len(client.asked.requests[1].json["messages"])


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "1"])
def test_repair_is_a_number(mock: Any, wrong: Any) -> None:
    """And needs something to mend."""
    with pytest.raises(ConfigurationError, match="repair"):
        mock(GOOD).complete("Where?", response_format=City, repair=wrong)
    with pytest.raises(ConfigurationError, match="without response_format"):
        mock(GOOD).complete("Where?", repair=1)


@pytest.mark.parametrize(
    ("tp", "text", "expected"),
    [
        (list[City], '{"value": [' + GOOD + "]}", [City("Paris", 2100000)]),
        (City | None, '{"value": null}', None),
        (Literal["a", "b"], '{"value": "b"}', "b"),
        (Color, '{"value": "blue"}', Color.BLUE),
        (int, '{"value": 42}', 42),
        (bool, "true", True),
        (dict[str, int], '{"a": 1}', {"a": 1}),
    ],
)
def test_what_is_no_object_is_wrapped_in_one(mock: Any, tp: Any, text: str, expected: Any) -> None:
    """Where a wire demands one; neither question nor answer shows it."""
    client = mock(text)

    reply = client.complete("What?", response_format=tp)

    schema = client.asked.requests[0].json["response_format"]["json_schema"]["schema"]
    assert expected == reply.parsed
    assert "object" == schema["type"]


def test_a_stream_gives_the_growing_instance(face: Any, mock: Any) -> None:
    """Texts grow, numbers are there when they are whole, and the last has passed all checks."""
    client = mock(Reply(chunks=['{"name": "Pa', 'ris", "peo', 'ple": 21', "00000", "}"]))
    stream = client.stream("Where?", response_format=City)

    seen = stream.partial()

    assert [("Pa", None), ("Paris", None), ("Paris", 2100000), ("Paris", 2100000)] == [(one.name, one.people) for one in seen]
    assert City("Paris", 2100000) == stream.response.parsed


def test_a_wrapped_answer_grows_unwrapped(mock: Any) -> None:
    """As it ends."""
    client = mock(Reply(chunks=['{"value": [{"name": "A", "people": 1}, ', '{"name": "B', '", "people": 2}]}']))

    seen = list(client.stream("Where?", response_format=list[City]).partial())

    assert [1, 2, 2, 2] == [len(one) for one in seen]
    assert [City("A", 1), City("B", 2)] == seen[-1]


def test_plain_json_grows_too(mock: Any) -> None:
    """And what was given out is not changed any more."""
    client = mock(Reply(chunks=['{"a": [1', ", 2", "]}"]))

    seen = list(client.stream("JSON, please", response_format="json").partial())

    assert [{"a": []}, {"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}] == seen


def test_an_answer_that_does_not_fit_in_the_end_says_so(mock: Any) -> None:
    """After what there was of it."""
    client = mock(Reply(chunks=['{"name": "Paris", ', '"people": "many"}']))
    seen = []

    with pytest.raises(StructuredOutputError, match="expected an integer"):
        for one in client.stream("Where?", response_format=City).partial():
            seen.append(one.name)

    assert ["Paris"] == seen


def test_partial_needs_a_shape(mock: Any) -> None:
    """Text grows by itself."""
    with pytest.raises(ConfigurationError, match="response_format"):
        list(mock("Hi").stream("Hello").partial())


def test_usage_of_an_answer_that_fits_is_its_own(mock: Any) -> None:
    """Nothing is summed where nothing was mended."""
    client = mock(Reply(GOOD, usage={"prompt_tokens": 10, "completion_tokens": 5}))

    reply = client.complete("Where?", response_format=City, repair=1)

    assert Usage(input_tokens=10, output_tokens=5) == reply.usage
