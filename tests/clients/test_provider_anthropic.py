"""Conversations with Claude on both faces, against a server that refuses what the real one refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    AuthenticationError,
    ConfigurationError,
    FinishReason,
    Image,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    UnsupportedParameterError,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.testing import FakeServer, Reply
from llmkit.testing.wires.anthropic_history import sealed

Connect = Callable[..., Any]
PNG = b"\x89PNG\r\n\x1a\n"
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
def claude(connect: Connect, server: FakeServer) -> Connect:
    """Return a maker of clients of Claude."""

    def make(model: str = "claude-sonnet-4-5", **kwargs: Any) -> Any:
        return connect(f"anthropic/{model}", base_url=server.url("anthropic"), **{"retry": None, **kwargs})

    return make


def ask(client: Any, way: str, *args: Any, **kwargs: Any) -> Any:
    """Return the answer, as a whole or collected from a stream."""
    return client.complete(*args, **kwargs) if way == "complete" else client.stream(*args, **kwargs).collect()


def bodies(server: FakeServer) -> list[Any]:
    return [request.json for request in server.requests]


@WAYS
def test_a_conversation_with_everything(claude: Connect, server: FakeServer, way: str) -> None:
    """System, picture, two parallel calls, their results, a follow-up and a typed answer; thoughts go back byte for byte."""
    client = claude()
    calls = [("look", {"city": "Paris"}), ("look", {"city": "Rome"})]
    server.enqueue(Reply("I look.", thinking="Where are they? Über …", tool_calls=calls))
    history = [system("Be brief."), user("Which is warmer?", Image(data=PNG, media_type="image/png"))]

    first = ask(client, way, history, tools=[look], max_tokens=8000, reasoning=2000)
    history += [first.message, *(tool_result(call, look(**call.arguments)) for call in first.tool_calls)]
    second = ask(client, way, history, tools=[look], max_tokens=8000, reasoning=2000)
    history += [second.message, user("As data, please.")]
    third = ask(client, way, history, tools=[look], response_format=Weather)

    assert (FinishReason.TOOL_CALLS, "I look.", "Where are they? Über …") == (first.finish_reason, first.text, first.thinking)
    assert "You said: Which is warmer?" == second.text
    assert Weather("As data, please.", 0) == third.parsed
    sent = bodies(server)[-1]["messages"]
    seal = sealed("Where are they? Über …")
    ids = [call.id for call in first.tool_calls]
    assert [
        {"type": "thinking", "thinking": "Where are they? Über …", "signature": seal},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": ids[0], "name": "look", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": ids[1], "name": "look", "input": {"city": "Rome"}},
    ] == sent[1]["content"]
    assert [(ids[0], "Sun over Paris."), (ids[1], "Sun over Rome.")] == [
        (block["tool_use_id"], block["content"]) for block in sent[2]["content"]
    ]
    assert ["user", "assistant", "user", "assistant", "user"] == [turn["role"] for turn in sent]
    assert {"Be brief."} == {body["system"] for body in bodies(server)}


@WAYS
def test_credentials_and_version_are_headers(claude: Connect, server: FakeServer, way: str) -> None:
    """The key in its own, and in no other."""
    ask(claude(api_key="sk-ant-1", options={"beta": "one, two"}), way, "Hi")

    headers = server.requests[0].headers
    assert ("sk-ant-1", "2023-06-01", "one,two") == (headers["x-api-key"], headers["anthropic-version"], headers["anthropic-beta"])
    assert "authorization" not in headers


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/messages"])
def test_the_address_may_end_anyhow(connect: Connect, server: FakeServer, end: str) -> None:
    """With the version or without."""
    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic") + end)

    assert "You said: Hi" == client.complete("Hi").text
    assert 6 == len(client.models())


def test_a_bare_name_is_enough(connect: Connect, server: FakeServer) -> None:
    """Nobody else's models begin so."""
    client = connect("claude-haiku-4-5", base_url=server.url("anthropic"))

    assert "anthropic" == client.complete("Hi").provider


def test_the_key_and_address_of_the_environment(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when no provider is named; the model is then the row's own."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-env")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url("anthropic"))

    with face.client() as client:
        answer = client.complete("Hi")

    assert ("anthropic", "claude-sonnet-5", "sk-ant-env") == (answer.provider, answer.model, server.requests[0].key)


@WAYS
def test_a_foreign_history_moves(claude: Connect, server: FakeServer, way: str) -> None:
    """Ids are made to fit, foreign thoughts stay behind, and the server takes it."""
    calls = [
        {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": '{"city": "Paris"}'}},
        {"id": "functions.look:1", "type": "function", "function": {"name": "look", "arguments": "{broken"}},
    ]
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Welcome."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "functions.look:0", "content": "Sun."},
        {"role": "tool", "tool_call_id": "functions.look:1", "content": ""},
        {"role": "system", "content": "In French."},
        {"role": "user", "content": "So?"},
    ]

    answer = ask(claude(), way, history, tools=[look])

    assert answer.text.endswith("So?")
    assert "Hm." not in json.dumps(bodies(server)[0])


@WAYS
def test_a_paused_turn_goes_on(claude: Connect, server: FakeServer, way: str) -> None:
    """The message is appended as it is, with the blocks of the server's own tools."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    paused = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [search],
        "stop_reason": "pause_turn",
        "usage": {"input_tokens": 1},
    }
    server.enqueue(Reply(raw=paused))
    client = claude("claude-opus-5")
    history = [user("Search.")]

    first = ask(client, way, history)
    second = ask(client, way, [*history, first.message])

    assert (FinishReason.PAUSE, "You said: Search.") == (first.finish_reason, second.text)
    assert [search] == bodies(server)[1]["messages"][1]["content"]


@WAYS
def test_a_refusal_is_an_answer(claude: Connect, server: FakeServer, way: str) -> None:
    """With a reason, and a message that can be appended."""
    server.enqueue(Reply(refusal="No."))
    client = claude()

    answer = ask(client, way, "Bad?")
    again = ask(client, way, [user("Bad?"), answer.message, user("Good?")])

    assert (FinishReason.REFUSAL, "", "No.") == (answer.finish_reason, answer.text, answer.raw["stop_details"]["explanation"])
    assert again.text.endswith("Good?")


@WAYS
def test_a_schema_that_cannot_be_held_is_still_kept_to(claude: Connect, server: FakeServer, way: str) -> None:
    """It is asked for in words, and the answer is read by it."""
    server.enqueue(Reply('{"Paris": 20}'))

    answer = ask(claude(), way, "Hi", response_format=dict[str, int])

    assert {"Paris": 20} == answer.parsed
    assert "output_config" not in bodies(server)[0]


@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (Reply.error(401), AuthenticationError, "auth"),
        (Reply.error(400, message="prompt is too long: 208310 tokens > 200000 maximum"), InvalidRequestError, "context_length"),
        (Reply.error(404, message="model: claude-sonet-4-5"), ModelNotFoundError, "not_found"),
        (Reply.error(429, retry_after=7), RateLimitError, "rate_limit"),
        (Reply.error(429, code="enforced_spend_limit_reached"), QuotaExceededError, "quota"),
        (Reply.error(529), OverloadedError, "overloaded"),
    ],
)
@WAYS
def test_errors_are_ours(claude: Connect, server: FakeServer, way: str, reply: Reply, error: type[Any], kind: str) -> None:
    """With the id of the request."""
    server.enqueue(reply)

    with pytest.raises(error) as caught:
        ask(claude(), way, "Hi")

    assert kind == caught.value.kind
    assert caught.value.request_id.startswith("req_")


def test_an_overloaded_stream_is_tried_again_before_it_began(claude: Connect, server: FakeServer) -> None:
    """Its status was 200."""
    from llmkit import RetryConfig

    server.enqueue(Reply(events=[{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]))

    answer = ask(claude(retry=RetryConfig(base_delay=0.001)), "stream", "Hi")

    assert ("You said: Hi", 2) == (answer.text, len(answer.attempts))


def test_a_cut_stream_says_what_came(claude: Connect, server: FakeServer) -> None:
    """It is no success."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    server.enqueue(
        Reply(
            events=[
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Once"}},
            ]
        )
    )

    with pytest.raises(StreamInterruptedError) as caught:
        ask(claude(), "stream", "Hi")

    assert "Once" == caught.value.partial.text


def test_what_a_model_refuses_is_never_sent(claude: Connect, server: FakeServer) -> None:
    """Newer ones have no sampling; no Claude has a seed."""
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        claude("claude-opus-5").complete("Hi", temperature=0.5)
    with pytest.raises(UnsupportedParameterError, match="seed"):
        claude().complete("Hi", seed=1)
    with pytest.raises(ConfigurationError, match="does not go on with an answer"):
        claude("claude-opus-5").complete([user("Hi"), assistant("He")])

    assert [] == server.requests
    assert "You said: Hi" == claude("claude-opus-5", drop_params=True).complete("Hi", temperature=0.5, seed=1).text


ALWAYS_THINKING = ("claude-opus-5-5", "claude-fable-5-1")
OTHERS = (
    *("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6"),
    *("claude-sonnet-4-6", "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"),
)


@pytest.mark.parametrize("model", [*ALWAYS_THINKING, *OTHERS])
def test_every_model_is_asked_in_its_way(claude: Connect, model: str) -> None:
    """With every effort it knows: the server, which has rules of its own for each, refuses nothing."""
    client = claude(model)

    for effort in ("minimal", "low", "medium", "high", *(["none"] if model in OTHERS else [])):
        assert client.complete("Hi", reasoning=effort, tools=[look], parallel_tool_calls=False).text
    assert Weather("Hi", 0) == client.complete("Hi", response_format=Weather).parsed


@pytest.mark.parametrize("model", ALWAYS_THINKING)
def test_a_model_that_always_thinks_is_not_told_to_stop(claude: Connect, server: FakeServer, model: str) -> None:
    """It would answer with an error."""
    with pytest.raises(UnsupportedParameterError, match="always thinks"):
        claude(model).complete("Hi", reasoning="none")

    assert [] == server.requests


@WAYS
def test_a_long_stream_is_whole(claude: Connect, server: FakeServer, way: str) -> None:
    """Piece by piece."""
    assert 500 == len(ask(claude("fake-stream-500"), way, "Hi").text.removeprefix("You said: Hi").split()) + 3
