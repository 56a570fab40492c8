"""Conversations on the Responses wire on both faces, against a server that refuses what the real one refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    ConfigurationError,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    UnsupportedParameterError,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.testing import FakeServer, Reply
from llmkit.testing.wires.openai_responses_checks import sealed

Connect = Callable[..., Any]
PNG = b"\x89PNG\r\n\x1a\n"
SAMPLES = Path(__file__).parent.parent / "samples" / "openai_responses"
WAYS = pytest.mark.parametrize("way", ["complete", "stream"])


@frozen
class Weather:
    """What it is like."""

    city: str
    degrees: int


def look(city: str) -> str:
    """Look out of the window."""
    return f"Sun over {city}."


@pytest.fixture
def gpt(connect: Connect, server: FakeServer) -> Connect:
    """Return a maker of clients of OpenAI's newer wire."""

    def make(model: str = "gpt-5", **kwargs: Any) -> Any:
        return connect(f"openai-responses/{model}", base_url=server.url("openai-responses"), **{"retry": None, **kwargs})

    return make


def ask(client: Any, way: str, *args: Any, **kwargs: Any) -> Any:
    """Return the answer, as a whole or collected from a stream."""
    return client.complete(*args, **kwargs) if way == "complete" else client.stream(*args, **kwargs).collect()


def bodies(server: FakeServer) -> list[Any]:
    return [request.json for request in server.requests]


@WAYS
def test_a_conversation_with_everything(gpt: Connect, server: FakeServer, way: str) -> None:
    """System, picture, two parallel calls, their results, a follow-up and a typed answer; thoughts go back byte for byte."""
    client = gpt()
    calls = [("look", {"city": "Paris"}), ("look", {"city": "Rome"})]
    server.enqueue(Reply("I look.", thinking="Where are they? Über …", tool_calls=calls))
    history = [system("Be brief."), user("Which is warmer?", Image(data=PNG, media_type="image/png"))]

    first = ask(client, way, history, tools=[look], reasoning="low")
    history += [first.message, *(tool_result(call, look(**call.arguments)) for call in first.tool_calls)]
    second = ask(client, way, history, tools=[look], reasoning="low")
    history += [second.message, user("As data, please.")]
    third = ask(client, way, history, tools=[look], response_format=Weather)

    assert (FinishReason.TOOL_CALLS, "I look.", "Where are they? Über …") == (first.finish_reason, first.text, first.thinking)
    assert "You said: Which is warmer?" == second.text
    assert Weather("As data, please.", 0) == third.parsed
    sent = bodies(server)[-1]["input"]
    assert first.raw["output"] == sent[1:5]
    assert sealed("Where are they? Über …") == sent[1]["encrypted_content"]
    assert [(call.id, look(**call.arguments)) for call in first.tool_calls] == [(item["call_id"], item["output"]) for item in sent[5:7]]
    assert {"role": "assistant", "content": second.text} == sent[7]
    assert {("Be brief.", False)} == {(body["instructions"], body["store"]) for body in bodies(server)}


@WAYS
def test_the_option_api_is_enough(connect: Connect, server: FakeServer, way: str) -> None:
    """The same provider on its other wire, at the same address."""
    client = connect("openai/gpt-5", options={"api": "responses"})

    answer = ask(client, way, "Hi")

    assert ("openai", "You said: Hi", "/v1/responses") == (answer.provider, answer.text, server.requests[0].endpoint)
    assert client.models()


@pytest.mark.parametrize("end", ["", "/", "/responses"])
def test_the_address_may_end_anyhow(connect: Connect, server: FakeServer, end: str) -> None:
    """With the operation or without."""
    client = connect("openai-responses/gpt-5", base_url=server.url("openai-responses") + end)

    assert "You said: Hi" == client.complete("Hi").text


def test_an_api_that_is_none_is_refused(face: Any) -> None:
    """By the names there are."""
    with pytest.raises(ConfigurationError, match="one of chat, responses, not 'assistants'"):
        face.client("openai/gpt-5", api_key="sk-1", options={"api": "assistants"})


@WAYS
def test_a_foreign_history_moves(gpt: Connect, server: FakeServer, way: str) -> None:
    """Foreign thoughts stay behind, long ids are made to fit, and the server takes it."""
    calls = [{"id": "x" * 80, "type": "function", "function": {"name": "look", "arguments": '{"city": "Paris"}'}}]
    history = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "x" * 80, "content": "Sun."},
    ]

    answer = ask(gpt(), way, history, tools=[look])

    assert "You said: Weather?" == answer.text


@WAYS
def test_a_history_survives_the_loss_of_its_thoughts(gpt: Connect, server: FakeServer, way: str) -> None:
    """What they led to is then sent without its ids, which the server would look up."""
    client = gpt()
    server.enqueue(Reply("I look.", thinking="Hm.", tool_calls=[("look", {"city": "Paris"})]))
    first = ask(client, way, "Hi", tools=[look])
    kept = assistant(*(part for part in first.message.content if part is not first.message.content[0]))

    answer = ask(client, way, [user("Hi"), kept, tool_result(first.tool_calls[0], "Sun.")], tools=[look])

    assert "You said: Hi" == answer.text
    assert all("id" not in item for item in bodies(server)[-1]["input"])


@WAYS
def test_models_without_thoughts_are_not_asked_for_seals(gpt: Connect, server: FakeServer, way: str) -> None:
    """They would refuse."""
    answer = ask(gpt("gpt-4o-mini"), way, "Hi")

    assert ("You said: Hi", 1) == (answer.text, len(server.requests))
    assert "include" not in bodies(server)[0]


@WAYS
def test_a_refusal_of_seals_is_given_in_to_once(gpt: Connect, server: FakeServer, way: str) -> None:
    """Of a model of which nothing is known; from then on it is not asked again."""
    client = gpt("gpt-next")
    server.enqueue(Reply.error(400, message="Encrypted content is not supported with this model.", param="include"))

    answers = [ask(client, way, "Hi"), ask(client, way, "Ho")]

    assert ["You said: Hi", "You said: Ho"] == [answer.text for answer in answers]
    assert [True, False, False] == ["include" in body for body in bodies(server)]


@WAYS
def test_a_refusal_is_an_answer(gpt: Connect, server: FakeServer, way: str) -> None:
    """With its own reason."""
    server.enqueue(Reply(refusal="I cannot help with that."))

    answer = ask(gpt(), way, "Hi")

    assert (FinishReason.REFUSAL, "I cannot help with that.") == (answer.finish_reason, answer.text)


@WAYS
def test_an_answer_that_ran_out_says_so(gpt: Connect, server: FakeServer, way: str) -> None:
    """It is incomplete, and no error."""
    answer = ask(gpt(), way, "one two three four five", max_tokens=3)

    assert (FinishReason.LENGTH, "max_output_tokens", "You said: one") == (answer.finish_reason, answer.raw_finish_reason, answer.text)


@WAYS
@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (
            Reply.error(400, message="Item 'rs_1' was provided without its required following item.", param="input"),
            InvalidRequestError,
            None,
        ),
        (
            Reply.error(400, code="model_not_found", type="invalid_request_error", message="No such model.", param="model"),
            ModelNotFoundError,
            None,
        ),
        (Reply.error(429, code="insufficient_quota", type="insufficient_quota", message="No."), QuotaExceededError, "quota"),
        (Reply.error(429), RateLimitError, "rate_limit"),
        (Reply.error(500), InternalError, "server"),
        (Reply(raw=json.loads((SAMPLES / "failed.json").read_text())), RateLimitError, "rate_limit"),
    ],
)
def test_errors_are_ours(gpt: Connect, server: FakeServer, way: str, reply: Reply, error: type[Any], kind: str | None) -> None:
    """Of whatever kind, whichever way was asked."""
    server.enqueue(reply)

    with pytest.raises(error) as caught:
        ask(gpt(), way, "Hi")

    assert kind in (None, caught.value.kind)
    assert "openai-responses" == caught.value.provider


def test_a_quota_error_inside_a_stream_is_one(gpt: Connect, server: FakeServer) -> None:
    """Though the status was good."""
    server.enqueue(Reply(events=[(SAMPLES / "quota_in_the_stream.sse").read_bytes()]))

    with pytest.raises(QuotaExceededError):
        gpt().stream("Hi").collect()


@pytest.mark.parametrize("parameters", [{"stop": "END"}, {"seed": 1}, {"top_k": 3}, {"presence_penalty": 1.0}])
def test_what_the_wire_cannot_say_is_refused_by_name(gpt: Connect, server: FakeServer, parameters: dict[str, Any]) -> None:
    """Before anything is sent, unless it may be dropped."""
    with pytest.raises(UnsupportedParameterError, match=next(iter(parameters))):
        gpt().complete("Hi", **parameters)

    assert [] == server.requests
    assert "You said: Hi" == gpt(drop_params=True).complete("Hi", **parameters).text


@WAYS
def test_a_demanded_tool_is_called(gpt: Connect, server: FakeServer, way: str) -> None:
    """By its name."""
    answer = ask(gpt(), way, "Hi", tools=[look], tool_choice="look", parallel_tool_calls=False)

    assert [("look", {"city": "Hi"})] == [(call.name, dict(call.arguments)) for call in answer.tool_calls]


@WAYS
def test_a_long_stream_is_whole(gpt: Connect, server: FakeServer, way: str) -> None:
    """A thousand pieces."""
    answer = ask(gpt("fake-stream-1000"), way, "Hi")

    assert 1000 == len(answer.text.split())


@WAYS
def test_a_model_that_is_older_than_schemas_is_made_to_call_a_tool(gpt: Connect, server: FakeServer, way: str) -> None:
    """Its arguments are the answer; beside tools of the caller's own it is told the schema in words."""
    client = gpt("gpt-4-turbo")
    server.enqueue(Reply(tool_calls=[("Weather", {"city": "Oslo", "degrees": -3})]), Reply('{"city": "Oslo", "degrees": -3}'))

    called = ask(client, way, "Weather?", response_format=Weather)
    told = ask(client, way, "Weather?", response_format=Weather, tools=[look])

    assert [Weather("Oslo", -3)] * 2 == [called.parsed, told.parsed]
    assert (FinishReason.STOP, ()) == (called.finish_reason, called.tool_calls)
    first, second = (request.json for request in server.requests)
    assert {"type": "function", "name": "Weather"} == first["tool_choice"]
    assert "text" not in second
    assert "JSON Schema" in second["instructions"]
