"""Amazon Bedrock through both faces: whole conversations with a server that refuses what the real one does, keys and signatures too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    AuthenticationError,
    ConfigurationError,
    ContextWindowExceededError,
    Document,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    MalformedResponseError,
    Message,
    ModelNotFoundError,
    Native,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    Text,
    Thinking,
    UnsupportedParameterError,
    system,
    tool_result,
    user,
)
from llmkit.testing import FakeServer, Reply

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f"
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
PNG = b"\x89PNG picture"


@frozen
class Verdict:
    """What is to be put on."""

    coat: bool
    why: str


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


@pytest.fixture
def bedrock(face: Any, server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake Bedrock: with a key, unless there are credentials among the options."""

    def make(model: str = CLAUDE, *, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        said = {"region": "us-east-1", **(options or {})}
        if "access_key_id" not in said:
            kwargs = {"api_key": "bedrock-api-key-0123456789", **kwargs}
        return face.client(f"bedrock/{model}", **{"base_url": server.url("bedrock"), "retry": None, "options": said, **kwargs})

    return make


def asked(client: Any, messages: Any, *, streamed: bool, **parameters: Any) -> Any:
    """Return the answer, however it was got."""
    if not streamed:
        return client.complete(messages, **parameters)
    stream = client.stream(messages, **parameters)
    chunks = list(stream)
    answer = stream.response
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert answer.thinking == "".join(chunk.thinking for chunk in chunks)
    assert [answer.finish_reason] == [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    return answer


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "options", [{}, KEYS, {"api": "invoke"}, {"api": "invoke", **KEYS}], ids=["key", "signed", "invoke", "invoke-signed"]
)
def test_a_whole_conversation(bedrock: Callable[..., Any], server: FakeServer, streamed: bool, options: dict[str, Any]) -> None:
    """A system message, a picture, two calls at once, their results, a follow-up and a typed answer, on either wire, by key or signed."""
    cached = {"inputTokens": 4, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 6, "outputTokens": 9}
    if "api" in options:
        cached = {"input_tokens": 4, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 6, "output_tokens": 9}
    server.enqueue(
        Reply(
            "I look.", thinking="Two cities.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2})]
        ),
        Reply("Rain in both.", usage=cached),
        Reply('{"coat": true, "why": "rain"}'),
    )
    client = bedrock(options=options)
    history = [system("Be brief."), user("Weather on this map?", Image(data=PNG, media_type="image/png"))]

    first = asked(client, history, streamed=streamed, tools=[get_weather], reasoning="low", max_tokens=4000)
    history += [first.message, *(tool_result(call, get_weather(**call.arguments)) for call in first.tool_calls)]
    second = asked(client, history, streamed=streamed, tools=[get_weather])
    history += [second.message, user("A coat, then?")]
    third = asked(client, history, streamed=streamed, tools=[get_weather], response_format=Verdict)

    assert ("I look.", "Two cities.", FinishReason.TOOL_CALLS) == (first.text, first.thinking, first.finish_reason)
    assert [{"city": "Paris"}, {"city": "Rome", "days": 2}] == [dict(call.arguments) for call in first.tool_calls]
    usage = second.usage
    assert ("Rain in both.", 40, 9, 30, 6) == (
        second.text, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens,
    )  # fmt: skip
    assert Verdict(coat=True, why="rain") == third.parsed
    assert all(one.request_id for one in (first, second, third))
    assert 3 == server.hits


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_goes_back_as_it_came(bedrock: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """Seal, ids and order exactly; the results of both calls in one turn behind it."""
    server.enqueue(Reply("I look.", thinking="Hm.", tool_calls=[("get_weather", {"city": "Zürich"}), ("get_weather", {"city": "Oslo"})]))
    client = bedrock()

    first = asked(client, "Weather?", streamed=streamed, tools=[get_weather], reasoning="low", max_tokens=4000)
    results = [tool_result(call, "rain") for call in first.tool_calls]
    asked(client, [user("Weather?"), first.message, *results, user("And?")], streamed=streamed, tools=[get_weather])

    assert [turn["role"] for turn in server.requests[1].json["messages"]] == ["user", "assistant", "user"]
    sent = server.requests[1].json["messages"][1:]
    assert first.raw["output"]["message"]["content"] == sent[0]["content"]
    ids = [call.id for call in first.tool_calls]
    assert ids == [block["toolResult"]["toolUseId"] for block in sent[1]["content"] if "toolResult" in block]
    assert {"text": "And?"} == sent[1]["content"][-1]


@pytest.mark.parametrize("model", [CLAUDE, PROFILE])
@pytest.mark.parametrize("options", [{}, KEYS], ids=["key", "signed"])
def test_the_path_is_sent_as_it_is_signed(bedrock: Callable[..., Any], server: FakeServer, model: str, options: dict[str, Any]) -> None:
    """Colons and slashes stay quoted on the wire, in both transports."""
    client = bedrock(model, options=options)

    client.complete("Hi")
    asked(client, "Hi", streamed=True)

    quoted = model.replace(":", "%3A").replace("/", "%2F")
    assert [f"/bedrock/model/{quoted}/converse", f"/bedrock/model/{quoted}/converse-stream"] == [one.path for one in server.requests]
    scheme = "AWS4-HMAC-SHA256" if options else "Bearer"
    assert {scheme} == {one.headers["authorization"].partition(" ")[0] for one in server.requests}


def test_a_wrong_signature_is_refused_and_shows_no_secret(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """Nor is another key to blame."""
    client = bedrock(options={**KEYS, "secret_access_key": "not/the+secret0123456789"})

    with pytest.raises(AuthenticationError) as caught:
        client.complete("Hi")

    assert "InvalidSignatureException" == caught.value.type
    assert "not/the" not in f"{caught.value}{caught.value.to_dict()}"


def test_a_refused_key_gives_way_to_another(face: Any) -> None:
    """Though AWS says 403 of it, as it does of a model."""
    with FakeServer(keys=["good-key-0123456789"]) as server:
        client = face.client(
            f"bedrock/{CLAUDE}",
            base_url=server.url("bedrock"),
            api_keys=["bad-key-0123456789", "good-key-0123456789"],
            options={"region": "us-east-1"},
        )
        reply = client.complete("Hi")

    assert "You said: Hi" == reply.text
    assert ["auth", None] == [attempt.error for attempt in reply.attempts]


def test_the_key_and_the_region_are_found(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In AWS's own variables; a key wins over credentials."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key-0123456789")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_access_key"])
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url("bedrock"))

    with face.client(f"bedrock/{CLAUDE}") as client:
        client.complete("Hi")

    assert "key-0123456789" == server.requests[0].key


def test_credentials_of_the_environment_sign(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no key."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_access_key"])

    with face.client(f"bedrock/{PROFILE}", base_url=server.url("bedrock")) as client:
        assert "You said: Hi" == client.complete("Hi").text

    assert "/us-east-1/bedrock/aws4_request" in server.requests[0].headers["authorization"]


def test_documents_get_names_and_company(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """Such as are taken; beside the results of tools they follow apart."""
    server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Rome"})]))
    client = bedrock()
    report = Document(data=b"Rain.", media_type="text/plain", name="John's report_1.txt", cache=True)
    question = user(report, Document(data=b"%PDF", media_type="application/pdf", name="John's report_1.pdf"))

    first = client.complete(question, tools=[get_weather])
    client.complete([question, first.message, tool_result(first.tool_calls[0], "rain"), user("And this?", report)], tools=[get_weather])

    turns = server.requests[1].json["messages"]
    assert ["user", "assistant", "user", "assistant", "user"] == [turn["role"] for turn in turns]
    names = [block["document"]["name"] for turn in turns for block in turn["content"] if "document" in block]
    assert ["John s report 1", "John s report 1 2", "John s report 1 3"] == names


def test_breakpoints_of_the_cache_are_marked(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """Where the model has them."""
    history = [Message("system", Text("Long.", cache=True)), user(Text("Longer.", cache=True), "Hi")]

    bedrock().complete(history)
    bedrock("openai.gpt-oss-120b-1:0").complete(history)

    first, second = (request.json for request in server.requests)
    assert {"cachePoint": {"type": "default"}} == first["system"][-1] == first["messages"][0]["content"][1]
    assert "cachePoint" not in json.dumps(second)


@pytest.mark.parametrize(
    "model",
    [
        NOVA,
        "us.amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "us.meta.llama3-3-70b-instruct-v1:0",
        "mistral.mistral-large-2407-v1:0",
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_other_makers_models_hold_the_same_conversation(
    bedrock: Callable[..., Any], server: FakeServer, model: str, streamed: bool
) -> None:
    """Each in the words that it takes, among them thoughts that Claude had."""
    server.enqueue(
        Reply("I look.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]),
        Reply('{"coat": true, "why": "rain"}'),
    )
    client = bedrock(model)
    start = [
        system("Be brief."),
        user("Hi"),
        Message("assistant", (Thinking("Hm.", "seal", provider="bedrock"), Text("Yes?"))),
        user("Weather?"),
    ]

    first = asked(client, start, streamed=streamed, tools=[get_weather])
    results = [tool_result(call, "rain") for call in first.tool_calls]
    again = asked(client, [*start, first.message, *results, user("A coat?")], streamed=streamed, response_format=Verdict)

    assert Verdict(coat=True, why="rain") == again.parsed
    assert [{"city": "Paris"}, {"city": "Rome"}] == [dict(call.arguments) for call in first.tool_calls]


def test_thoughts_without_a_seal_go_back_where_they_are_wanted(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """Without one: an empty one is refused."""
    server.enqueue(Reply("Four.", thinking="Easy."))
    client = bedrock("openai.gpt-oss-120b-1:0")

    first = client.complete("2+2?", reasoning="low")
    client.complete([user("2+2?"), first.message, user("Sure?")])

    assert {"reasoning_effort": "low"} == server.requests[0].json["additionalModelRequestFields"]
    assert {"reasoningContent": {"reasoningText": {"text": "Easy."}}} == server.requests[1].json["messages"][1]["content"][0]


def test_citations_and_hosted_tools_go_back(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """As parts that only Bedrock understands."""
    content = [
        {"toolUse": {"toolUseId": "s1", "name": "nova_code_interpreter", "type": "server_tool_use", "input": {}}},
        {"toolResult": {"toolUseId": "s1", "type": "nova_code_interpreter_result", "status": "success", "content": [{"text": "42"}]}},
        {"citationsContent": {"content": [{"text": "It is 42."}], "citations": [{"title": "a"}]}},
    ]
    server.enqueue(Reply(raw={"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}))
    client = bedrock("us.amazon.nova-2-lite-v1:0", options={})

    answer = client.complete("6*7?")
    client.complete([user("6*7?"), answer.message, user("Sure?")], tools=[get_weather])

    assert ("It is 42.", 3) == (answer.text, sum(isinstance(part, Native) for part in answer.message.content))
    assert content == server.requests[1].json["messages"][1]["content"]


def test_what_cannot_be_said_is_refused_before_it_is_sent(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """Or left out, where the client was told to."""
    with pytest.raises(UnsupportedParameterError, match="seed"):
        bedrock().complete("Hi", seed=1)
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        bedrock("us.anthropic.claude-opus-4-7-v1").complete("Hi", temperature=0.5)
    with pytest.raises(ConfigurationError, match="region"):
        bedrock(options={"region": "not a region"})

    assert "You said: Hi" == bedrock(drop_params=True).complete("Hi", seed=1, user="ann").text
    assert 1 == server.hits


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (Reply.error(400), InvalidRequestError, "bad_request"),
        (Reply.error(400, message="Input is too long for requested model."), ContextWindowExceededError, "context_length"),
        (Reply.error(400, type="ServiceQuotaExceededException"), QuotaExceededError, "quota"),
        (Reply.error(400, type="ThrottlingException"), RateLimitError, "rate_limit"),
        (Reply.error(403), PermissionDeniedError, "permission"),
        (Reply.error(403, type="UnrecognizedClientException"), AuthenticationError, "auth"),
        (Reply.error(404), ModelNotFoundError, "not_found"),
        (Reply.error(408), RequestTimeoutError, "timeout"),
        (Reply.error(424), InternalError, "server"),
        (Reply.error(429), RateLimitError, "rate_limit"),
        (Reply.error(429, type="ModelNotReadyException"), OverloadedError, "overloaded"),
        (Reply.error(500), InternalError, "server"),
        (Reply.error(503), InternalError, "server"),
    ],
)
def test_errors_have_their_classes(
    bedrock: Callable[..., Any], server: FakeServer, streamed: bool, reply: Reply, error: Any, kind: str
) -> None:
    """Before an answer."""
    server.enqueue(reply)

    with pytest.raises(error) as caught:
        asked(bedrock(), "Hi", streamed=streamed)

    assert (kind, "bedrock") == (caught.value.kind, caught.value.provider)
    assert caught.value.request_id is not None


@pytest.mark.parametrize("api", ["converse", "invoke"])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("throttlingException", RateLimitError),
        ("modelTimeoutException", RequestTimeoutError),
        ("internalServerException", InternalError),
        ("validationException", InvalidRequestError),
    ],
)
def test_an_exception_in_a_stream_has_its_class(bedrock: Callable[..., Any], server: FakeServer, api: str, name: str, error: Any) -> None:
    """With a good status; before any content the call is tried again where that may help."""
    server.enqueue(Reply(events=[{name: {"message": "No."}}]))

    with pytest.raises(error) as caught:
        asked(bedrock(options={"api": api}), "Hi", streamed=True)

    assert (name, 200) == (caught.value.type, caught.value.status_code)


def test_a_throttled_stream_is_tried_again(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """As long as nothing had come."""
    from llmkit import RetryConfig

    server.enqueue(Reply(events=[{"throttlingException": {"message": "Slow"}}]))

    answer = asked(bedrock(retry=RetryConfig(max_retries=1, base_delay=0.001)), "Hi", streamed=True)

    assert ["rate_limit", None] == [attempt.error for attempt in answer.attempts]


def test_a_broken_checksum_is_a_protocol_error(bedrock: Callable[..., Any], server: FakeServer) -> None:
    """With what had come before it."""
    server.enqueue(
        Reply(
            events=[
                {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Once"}}},
                b"\x00\x00\x00\x20\x00\x00\x00\x00\xde\xad\xbe\xef" + b"x" * 20,
            ]
        )
    )

    with pytest.raises(MalformedResponseError) as caught:
        asked(bedrock(), "Hi", streamed=True)

    assert ("protocol", "Once") == (caught.value.kind, caught.value.partial.text)


@pytest.mark.parametrize("options", [{}, KEYS], ids=["key", "signed"])
def test_models_are_listed(bedrock: Callable[..., Any], options: dict[str, Any]) -> None:
    """By the control plane."""
    client = bedrock(options=options)

    assert CLAUDE.removeprefix("us.") in [model.id for model in client.models()]
    assert client.check().ok


def test_models_are_not_listed_for_other_wires(bedrock: Callable[..., Any]) -> None:
    """It is said so."""
    with pytest.raises(UnsupportedParameterError, match="no list"):
        bedrock(options={"api": "invoke"}).models()


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("streamed", [False, True])
def test_openais_wires_are_spoken_too(bedrock: Callable[..., Any], server: FakeServer, api: str, streamed: bool) -> None:
    """At another host, with the same key."""
    answer = asked(bedrock("openai.gpt-oss-120b", options={"api": api}), "Hi", streamed=streamed)

    assert "You said: Hi" == answer.text
    assert "bedrock-api-key-0123456789" == server.requests[0].key


def test_a_history_moves_between_wires_and_providers(bedrock: Callable[..., Any], face: Any, server: FakeServer) -> None:
    """Text, calls and results go along; thoughts and seals stay with who made them."""
    server.enqueue(Reply("I look.", thinking="Secret.", tool_calls=[("get_weather", {"city": "Oslo"})]))
    origin = face.client("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"), api_key="k")
    first = origin.complete("Weather?", tools=[get_weather], reasoning="low", max_tokens=4000)
    history = [user("Weather?"), first.message, tool_result(first.tool_calls[0], "rain")]

    for options in ({}, {"api": "invoke"}):
        bedrock(options=options).complete(history, tools=[get_weather])

    turn = server.requests[1].json["messages"][1]
    assert ["text", "toolUse"] == [next(iter(block)) for block in turn["content"]]
    assert first.tool_calls[0].id == turn["content"][1]["toolUse"]["toolUseId"]
    assert ["text", "tool_use"] == [block["type"] for block in server.requests[2].json["messages"][1]["content"]]
