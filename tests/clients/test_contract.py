"""
What every provider must do, written once: over all wires, on both faces, against a server that refuses what the real ones refuse.

What a wire cannot say is named in its row; a test that meets it says so and is skipped.
"""

from __future__ import annotations

import base64
import enum
import json
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from annotated_types import Ge
from attrs import evolve, field, frozen

from llmkit import (
    AuthenticationError,
    Client,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    LLMKitError,
    Message,
    ModelNotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryConfig,
    StreamInterruptedError,
    ToolCall,
    system,
    tool_result,
    user,
)
from llmkit.structured import as_response_format
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

PNG = b"\x89PNG\r\n\x1a\n picture"
KEY = "sk-test-0123456789"
AWS = {"region": "us-east-1", "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
GOOGLE = {"project": "my-project", "location": "europe-west4", "token": KEY}
THINKS = {"reasoning": "low", "max_tokens": 4000}

Turns = Callable[[Any], Any]


@frozen
class Verdict:
    """What is to be put on."""

    coat: bool
    why: str


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


def ran(call: ToolCall) -> Message:
    return tool_result(call, get_weather(**call.arguments))


# -- what was answered and what goes back, in each wire's own form


def chat_answer(raw: Any) -> Any:
    said = raw["choices"][0]["message"]
    thoughts = ("reasoning_content", "reasoning", "reasoning_details")
    return said.get("tool_calls"), {key: said[key] for key in thoughts if said.get(key)}, said.get("content")


def chat_turn(body: Any) -> Any:
    turn = next(one for one in body["messages"] if one["role"] == "assistant")
    thoughts = ("reasoning_content", "reasoning", "reasoning_details")
    return turn.get("tool_calls"), {key: turn[key] for key in thoughts if key in turn}, turn.get("content")


def sealed_blocks(raw: Any) -> Any:
    return raw["content"]


def sealed_turn(body: Any) -> Any:
    return body["messages"][1]["content"]


def parts_of_gemini(raw: Any) -> Any:
    return raw["candidates"][0]["content"]["parts"]


def turn_of_gemini(body: Any) -> Any:
    return body["contents"][1]["parts"]


def fields_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message of Cohere's or Ollama's says; the numbers of calls are for those who read a stream."""
    said = {name: value for name, value in turn.items() if value}
    calls = [{**call, "function": {**call["function"], "index": None}} for call in turn.get("tool_calls", ())]
    return {**said, "tool_calls": calls}


@frozen(kw_only=True)
class Wire:
    """
    One way to be spoken to.

    Args:
        model: As a client is told.
        at: Whom the fake plays; the provider of *model* unless said.
        path: What follows the fake's address, where it is not what the provider's base URL has.
        options: Those of the client; where they say who one is, there is no key.
        keyed: Whether there is a key.
        asking: What is asked of it with the first question: to think, where it can be asked.
        answered: Takes from an answer's JSON what is to come back; *sent* takes it from a request's. None where thoughts do not go back.
        usage: A report of tokens in its own words, and
        counted: what it means: input, output, read from and written to the cache, reasoning.
        plans: Whether text beside calls is a plan, and so a thought.
        refuses: Why it ends where it refuses; None where it has no word for it.
        wrong: The refusal of a request that is wrong.
        lacks: What the wire cannot say.
    """

    model: str
    at: str = ""
    path: str = ""
    options: Mapping[str, Any] = field(factory=dict)
    keyed: bool = True
    asking: Mapping[str, Any] = field(factory=lambda: THINKS)
    answered: Turns | None = chat_answer
    sent: Turns = chat_turn
    usage: Mapping[str, Any] = field(factory=dict)
    counted: tuple[int, ...] = ()
    refuses: FinishReason | None = FinishReason.REFUSAL
    plans: bool = False
    wrong: Reply = field(factory=lambda: Reply.error(400))
    lacks: frozenset[str] = field(default=frozenset(), converter=frozenset)

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def owner(self) -> tuple[str, ...]:
        """Who has thoughts in common: those of one provider's one wire; those of Ollama have no seals."""
        if self.provider == "ollama":
            return (self.provider,)
        return (self.provider, str(self.options.get("api")), str("claude" in self.model))

    def terms(self, server: FakeServer, **more: Any) -> dict[str, Any]:
        """Return what a client of this wire is made with."""
        at = self.at or self.provider
        base_url = f"{server.origin}/{at}{self.path}" if self.path else server.url(at)
        key = {"api_key": KEY} if self.keyed else {}
        return {"base_url": base_url, "options": dict(self.options), "retry": None, **key, **more}

    def without(self, *what: str) -> None:
        """Skip the test where this wire cannot say one of *what*."""
        for one in what:
            if one in self.lacks:
                pytest.skip(f"{self.model} has no {one}")


CHAT_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "total_tokens": 1100,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 60},
}
CHAT_COUNT = (1000, 100, 400, 0, 60)
CLAUDE_USAGE = {"input_tokens": 600, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 100, "output_tokens": 100}
RESPONSES_USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 50},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 60},
    "total_tokens": 1100,
}
GEMINI_USAGE = {
    "promptTokenCount": 1000,
    "candidatesTokenCount": 40,
    "thoughtsTokenCount": 60,
    "cachedContentTokenCount": 400,
    "totalTokenCount": 1100,
}

CHAT = Wire(model="openai/gpt-4o-mini", usage=CHAT_USAGE, counted=CHAT_COUNT, answered=None)
CLAUDE = Wire(
    model="anthropic/claude-sonnet-4-5",
    answered=sealed_blocks,
    sent=sealed_turn,
    usage=CLAUDE_USAGE,
    counted=(1000, 100, 300, 100, 0),
)
RESPONSES = Wire(
    model="openai-responses/gpt-5",
    answered=lambda raw: raw["output"],
    sent=lambda body: [item for item in body["input"] if item.get("role") != "user" and item["type"] != "function_call_output"],
    usage=RESPONSES_USAGE,
    counted=(1000, 100, 400, 50, 60),
)
GEMINI = Wire(
    model="google/gemini-3-flash-preview",
    answered=parts_of_gemini,
    sent=turn_of_gemini,
    usage=GEMINI_USAGE,
    counted=(1000, 100, 400, 0, 60),
    refuses=FinishReason.CONTENT_FILTER,
    lacks={"request id"},
)

# SageMaker says 400 of an endpoint that is not there; what its container refuses is wrapped.
INSIDE = Reply.error(424, code=422, type="validation", message="Input validation error")

WIRES = {
    "openai": CHAT,
    "openai-without-schemas": evolve(CHAT, model="openai/gpt-4-turbo"),
    "azure": evolve(CHAT, model="azure/gpt-4o-mini"),
    "openrouter": evolve(CHAT, model="openrouter/openai/gpt-5-mini"),
    "deepseek": evolve(CHAT, model="deepseek/deepseek-flash"),
    "mistral": evolve(CHAT, model="mistral/mistral-small-latest"),
    "xai": evolve(CHAT, model="xai/grok-4.20"),
    "groq": evolve(CHAT, model="groq/openai/gpt-oss-120b"),
    "vllm": evolve(CHAT, model="vllm/qwen3", answered=chat_answer),
    "databricks": evolve(CHAT, model="databricks/databricks-claude-sonnet-4-5"),
    "snowflake": evolve(CHAT, model="snowflake/claude-sonnet-4-5"),
    "openai-responses": RESPONSES,
    "azure-responses": evolve(RESPONSES, model="azure/gpt-5", options={"api": "responses"}),
    "anthropic": CLAUDE,
    "vertex-claude": evolve(
        CLAUDE, model="vertex/claude-sonnet-4-5@20250929", path="/v1", options=GOOGLE, keyed=False, lacks={"request id"}
    ),
    "bedrock-invoke": evolve(
        CLAUDE, model="bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", options={**AWS, "api": "invoke"}, keyed=False
    ),
    "google": GEMINI,
    "gemini-2.5": evolve(GEMINI, model="google/gemini-2.5-flash", lacks={"ids", "request id"}),
    "vertex": evolve(GEMINI, model="vertex/gemini-3-flash-preview", options=GOOGLE, keyed=False),
    "bedrock": Wire(
        model="bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        options={"region": "us-east-1"},
        answered=lambda raw: raw["output"]["message"]["content"],
        sent=sealed_turn,
        refuses=FinishReason.CONTENT_FILTER,
        usage={"inputTokens": 600, "cacheReadInputTokens": 300, "cacheWriteInputTokens": 100, "outputTokens": 100, "totalTokens": 1100},
        counted=(1000, 100, 300, 100, 0),
    ),
    "bedrock-nova": Wire(
        model="bedrock/us.amazon.nova-2-lite-v1:0",
        options=AWS,
        keyed=False,
        asking={},
        answered=lambda raw: raw["output"]["message"]["content"],
        sent=sealed_turn,
        refuses=FinishReason.CONTENT_FILTER,
        usage={"inputTokens": 600, "cacheReadInputTokens": 300, "cacheWriteInputTokens": 100, "outputTokens": 100, "totalTokens": 1100},
        counted=(1000, 100, 300, 100, 0),
    ),
    "bedrock-chat": evolve(CHAT, model="bedrock/openai.gpt-oss-120b", options={"region": "us-east-1", "api": "chat"}),
    "bedrock-responses": evolve(RESPONSES, model="bedrock/openai.gpt-oss-120b", options={"region": "us-east-1", "api": "responses"}),
    "sagemaker": evolve(CHAT, model="sagemaker/my-endpoint", options=AWS, keyed=False, asking={}, wrong=INSIDE),
    "sagemaker-generate": Wire(
        model="sagemaker/my-endpoint",
        options={**AWS, "api": "generate"},
        keyed=False,
        asking={},
        answered=None,
        wrong=INSIDE,
        lacks={"tools", "image", "refusal", "usage"},
    ),
    "cohere": Wire(
        model="cohere/command-a-reasoning-08-2025",
        answered=lambda raw: fields_of(raw["message"]),
        sent=lambda body: fields_of(next(one for one in body["messages"] if one["role"] == "assistant")),
        usage={"tokens": {"input_tokens": 1000, "output_tokens": 100}, "cached_tokens": 400},
        counted=(1000, 100, 400, 0, 0),
        refuses=FinishReason.CONTENT_FILTER,
        plans=True,
    ),
    "ollama": Wire(
        model="ollama/qwen3",
        keyed=False,
        answered=lambda raw: fields_of(raw["message"]),
        sent=lambda body: fields_of(next(one for one in body["messages"] if one["role"] == "assistant")),
        usage={"prompt_eval_count": 1000, "eval_count": 100},
        counted=(1000, 100, 0, 0, 0),
        lacks={"refusal", "request id"},
    ),
    "ollama-chat": evolve(CHAT, model="ollama/qwen3", options={"api": "chat"}, keyed=False, answered=chat_answer, lacks={"request id"}),
}
EVERY = pytest.mark.parametrize("wire", [pytest.param(wire, id=name) for name, wire in WIRES.items()])
WAYS = pytest.mark.parametrize("way", ["complete", "stream"])


def ask(client: Any, way: str, *args: Any, **kwargs: Any) -> Any:
    """Return the answer, however it was got; what came in pieces is what it is made of."""
    if way == "complete":
        return client.complete(*args, **kwargs)
    stream = client.stream(*args, **kwargs)
    chunks = list(stream)
    answer = stream.response
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert answer.thinking == "".join(chunk.thinking for chunk in chunks)
    assert [answer.finish_reason] == [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    return answer


@pytest.fixture
def speak(face: Any, server: FakeServer) -> Iterator[Callable[..., Any]]:
    """Return a maker of clients of a wire."""
    made: list[Any] = []

    def make(wire: Wire, **more: Any) -> Any:
        made.append(face.client(wire.model, **wire.terms(server, **more)))
        return made[-1]

    yield make
    for client in made:
        client.close()


CALLS = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Zürich", "days": 2})]
LOOK = Reply("I look.", thinking="Two cities. Über …", tool_calls=CALLS)
QUESTION = [system("Be brief."), user("Weather on this map?", Image(data=PNG, media_type="image/png"))]


# -- one conversation


@EVERY
@WAYS
def test_the_same_conversation(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """System, picture, two calls at once, their results, a follow-up and a typed answer."""
    wire.without("tools", "image")
    client = speak(wire)
    server.enqueue(LOOK, Reply("Rain in both: 雨."), Reply('{"coat": true, "why": "rain"}'))
    history = list(QUESTION)

    first = ask(client, way, history, tools=[get_weather], **wire.asking)
    history += [first.message, *map(ran, first.tool_calls)]
    second = ask(client, way, history, tools=[get_weather], **wire.asking)
    history += [second.message, user("A coat, then?")]
    third = ask(client, way, history, response_format=Verdict)

    said = ("", "Two cities. Über …I look.") if wire.plans else ("I look.", "Two cities. Über …")
    assert (FinishReason.TOOL_CALLS, *said) == (first.finish_reason, first.text, first.thinking)
    assert CALLS == [(call.name, dict(call.arguments)) for call in first.tool_calls]
    assert 2 == len({call.id for call in first.tool_calls})
    assert (FinishReason.STOP, "Rain in both: 雨.") == (second.finish_reason, second.text)
    assert (FinishReason.STOP, Verdict(True, "rain")) == (third.finish_reason, third.parsed)
    assert [wire.provider] * 3 == [one.provider for one in (first, second, third)]
    assert 3 == server.hits


def named(said: Any) -> str:
    """Return all that *said* has, with one name for the items that the fake gives another name each time."""
    parts = [(part, getattr(part, "data", None)) for part in said] if isinstance(said, tuple) else said
    return re.sub(r"\b(rs|msg|fc)_\w+", r"\1", repr(parts))


@EVERY
def test_whole_and_streamed_are_equal(speak: Any, server: FakeServer, wire: Wire) -> None:
    """The same words come to the same answer, in every field and in the same raw form."""
    client = speak(wire)
    tools = {} if "tools" in wire.lacks else {"tools": [get_weather]}
    calls = [ToolCall(f"abcdefgh{number}", *call) for number, call in enumerate(CALLS)] if tools else []
    server.always(Reply("I look.", thinking="Hm. Über …", tool_calls=calls, usage=wire.usage, id="answer-1", request_id="request-1"))

    whole, streamed = (ask(client, way, "Hi", **tools) for way in ("complete", "stream"))

    assert named(whole.message.content) == named(streamed.message.content)
    for name in ("finish_reason", "raw_finish_reason", "id", "model", "provider", "request_id", "cost"):
        assert getattr(whole, name) == getattr(streamed, name), name
    assert "usage" in wire.lacks or whole.usage == streamed.usage
    assert len(calls) == len(whole.tool_calls)
    if wire.answered is not None:
        assert named(wire.answered(whole.raw)) == named(wire.answered(streamed.raw))


@EVERY
@WAYS
def test_an_answer_goes_back_as_it_came(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """Thoughts with their seals, text, calls, ids and order exactly, whatever the order of the results."""
    wire.without("tools")
    client = speak(wire)
    server.enqueue(LOOK)

    first = ask(client, way, "Weather?", tools=[get_weather], **wire.asking)
    ask(client, way, [user("Weather?"), first.message, *map(ran, reversed(first.tool_calls))], tools=[get_weather], **wire.asking)

    if wire.answered is not None:
        assert wire.answered(first.raw) == wire.sent(server.requests[1].json)
    for call in first.tool_calls:
        assert "ids" in wire.lacks or list(leaves(server.requests[1].json)).count(call.id) in (2, 3)


# -- answers of any shape


@frozen
class Branch:
    """Of a tree."""

    name: str
    branches: list[Branch] = field(factory=list)
    height: Annotated[float, Ge(0)] = 1.0


class Coat(enum.Enum):
    RAIN = "raincoat"
    FUR = "fur"


# What is asked for, what the model writes, and what becomes of it. Nulls are how strict mode leaves things out.
SHAPES: list[tuple[Any, Any, Any]] = [
    (Branch, {"name": "a", "branches": [{"name": "b", "branches": [], "height": None}], "height": 2}, Branch("a", [Branch("b")], 2.0)),
    (list[Union[Verdict, Branch]], [{"coat": True, "why": "雨"}, {"name": "c"}], [Verdict(True, "雨"), Branch("c")]),  # noqa: UP007
    (Optional[Verdict], None, None),  # noqa: UP045
    (dict[str, int], {"value": 1, "b": 2}, {"value": 1, "b": 2}),
    (tuple[int, Coat], [3, "fur"], (3, Coat.FUR)),
    (Literal["a", 1, None], 1, 1),
    (date, "2026-11-21", date(2026, 11, 21)),
    (Any, [{"x": 1.5}], [{"x": 1.5}]),
]


def written_as_asked(tp: Any, value: Any) -> Callable[[RecordedRequest], Reply]:
    """Return the script of a model that writes *value* where it is asked to: as the arguments of the only tool, or as its text."""
    shape = as_response_format(tp)
    answer = {"value": value} if shape is not None and shape.wrapped else value

    def script(asked: RecordedRequest) -> Reply:
        tools = asked.json.get("tools") or asked.json.get("toolConfig", {}).get("tools") or []
        names = [(tool.get("toolSpec") or tool.get("function") or tool)["name"] for tool in tools]
        return Reply(tool_calls=[(name, answer) for name in names]) if names else Reply(json.dumps(answer))

    return script


@EVERY
@WAYS
def test_an_answer_has_the_shape_that_was_asked_for(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """Whether the model is held to it, made to call a tool, or told in words; what was wrapped for the wire is unwrapped."""
    client = speak(wire)
    server.enqueue(*(written_as_asked(tp, value) for tp, value, _ in SHAPES))

    answers = [ask(client, way, "In JSON?", response_format=tp) for tp, _, _ in SHAPES]

    assert [wanted for _, _, wanted in SHAPES] == [answer.parsed for answer in answers]
    assert {(FinishReason.STOP, ())} == {(answer.finish_reason, answer.tool_calls) for answer in answers}


# -- histories of others


def leaves(value: Any) -> Iterator[Any]:
    """Yield all that stands in *value*, in its order; JSON inside of text is looked into."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
        return
    yield value
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            yield from leaves(json.loads(value))
        except ValueError:
            return


@pytest.fixture(scope="module")
def histories() -> dict[str, list[Message]]:
    """What each wire's models said and called, with thoughts where it shows them, up to a plain answer."""
    made: dict[str, list[Message]] = {}
    with FakeServer() as server:
        for name, wire in WIRES.items():
            if "tools" in wire.lacks:
                continue
            with Client(wire.model, **wire.terms(server)) as client:
                server.enqueue(LOOK, Reply("Rain in both: 雨.", thinking="So wet."))
                first = client.complete(QUESTION, tools=[get_weather], **wire.asking)
                paris, zurich = first.tool_calls
                history = [*QUESTION, first.message, tool_result(zurich, "no such city", is_error=True), ran(paris)]
                second = client.complete(history, tools=[get_weather], **wire.asking)
                made[name] = [*history, second.message]
    return made


TOLD = (
    "Be brief.",
    "Weather on this map?",
    "I look.",
    "Paris",
    "Zürich",
    "rain in Paris for 1",
    "no such city",
    "Rain in both: 雨.",
    "And now?",
)


@EVERY
def test_a_history_moves(speak: Any, server: FakeServer, histories: dict[str, list[Message]], wire: Wire) -> None:
    """From each to each: the server takes it, thoughts stay with who had them, and nothing else is lost."""
    wire.without("tools", "image")
    client = speak(wire)
    for name, history in histories.items():
        server.reset()

        answer = client.complete([*history, user("And now?")], tools=[get_weather], **wire.asking)

        said = [one for one in leaves(server.requests[0].json) if isinstance(one, str)]
        assert "You said: And now?" == answer.text, name
        plan = {"I look."} if WIRES[name].plans else set()  # which is a thought, and stays where it was had
        assert [] == [text for text in TOLD if text not in plan and not any(text in one for one in said)], name
        assert any(base64.b64encode(PNG).decode() in one for one in said), name
        if WIRES[name].owner != wire.owner:
            assert not any("Two cities." in one or "So wet." in one for one in said), name


def test_one_conversation_goes_through_all(speak: Any, server: FakeServer) -> None:
    """Each wire in turn goes on with what all before it said, and calls tools in its own way."""
    history = list(QUESTION)
    travellers = [wire for wire in WIRES.values() if not {"tools", "image"} & wire.lacks]
    for wire in travellers:
        client = speak(wire)
        server.enqueue(LOOK, Reply(f"{wire.model}: rain."))
        first = client.complete(history, tools=[get_weather], **wire.asking)
        history += [first.message, *map(ran, first.tool_calls)]
        second = client.complete(history, tools=[get_weather], **wire.asking)
        history += [second.message, user("And then?")]

    assert 2 * len(travellers) == server.hits


# -- tokens


@EVERY
@WAYS
def test_usage_has_one_meaning(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """Input holds what was read from and written to the cache, output what was thought."""
    wire.without("usage")
    server.enqueue(Reply("Hi", usage=wire.usage))

    usage = ask(speak(wire), way, "Hi").usage

    assert wire.counted == (
        *(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens),
    )
    assert (usage.reported, usage.input_tokens + usage.output_tokens) == (True, usage.total_tokens)


OWN_USAGE = [
    pytest.param("xai", {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
                         "completion_tokens_details": {"reasoning_tokens": 94}, "prompt_tokens_details": {"cached_tokens": 6}},
                 (32, 103, 6, 0, 94), id="xai leaves thoughts out of the completion"),
    pytest.param("deepseek", {"prompt_tokens": 50, "completion_tokens": 8, "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 10,
                              "completion_tokens_details": {"reasoning_tokens": 5}, "prompt_tokens_details": None},
                 (50, 8, 40, 0, 5), id="deepseek has a word of its own for what was cached"),
    pytest.param("openrouter", {"prompt_tokens": 50, "completion_tokens": 8,
                                "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20}},
                 (50, 8, 10, 20, 0), id="openrouter says what was written"),
    pytest.param("databricks", {"prompt_tokens": 50, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 10},
                                "cache_creation_input_tokens": 5},
                 (50, 8, 10, 5, 0), id="databricks has Claude's word for what was written"),
    pytest.param("anthropic", {"input_tokens": 5, "output_tokens": 8, "cache_read_input_tokens": None,
                               "cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
                 (12, 8, 0, 7, 0), id="claude may have read nothing"),
    pytest.param("google", {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "toolUsePromptTokenCount": 3,
                            "totalTokenCount": 25},
                 (13, 12, 0, 0, 7), id="gemini counts what its tools read apart"),
]  # fmt: skip


@WAYS
@pytest.mark.parametrize(("name", "said", "counted"), OWN_USAGE)
def test_usage_in_a_providers_own_words(
    speak: Any, server: FakeServer, name: str, said: dict[str, Any], counted: tuple[int, ...], way: str
) -> None:
    """As it was seen on the wire."""
    server.enqueue(Reply("Hi", usage=said))

    usage = ask(speak(WIRES[name]), way, "Hi").usage

    assert counted == (
        *(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens),
    )


# -- why it ended


@EVERY
@WAYS
def test_an_answer_that_ran_out_says_so(speak: Any, wire: Wire, way: str) -> None:
    """It is no error, and is not called whole."""
    answer = ask(speak(wire), way, "one two three four five", max_tokens=3)

    assert FinishReason.LENGTH == answer.finish_reason
    assert 3 >= len(answer.text.split())


@EVERY
@WAYS
def test_a_refusal_is_an_answer(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """With its own reason, and a message that can be appended."""
    wire.without("refusal")
    client = speak(wire)
    server.enqueue(Reply(refusal="No."))

    answer = ask(client, way, "Bad?")
    again = ask(client, way, [user("Bad?"), answer.message, user("Good?")])

    assert wire.refuses == answer.finish_reason
    assert again.text.endswith("Good?")


# -- what goes wrong


@EVERY
@WAYS
def test_an_outage_is_met_with_as_many_requests_as_were_allowed(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """Exactly: no layer below tries again."""
    server.always(Reply.error(503))

    with pytest.raises(InternalError) as caught:
        ask(speak(wire, retry=RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)), way, "Hi")

    assert 3 == server.hits == len(caught.value.attempts)
    assert {503} == {attempt.status for attempt in caught.value.attempts}


KINDS = [
    (None, InvalidRequestError, {"bad_request"}),
    (Reply.error(403), PermissionDeniedError, {"permission"}),
    (Reply.error(404), ModelNotFoundError, {"not_found"}),
    (Reply.error(500), InternalError, {"server"}),
    (Reply.error(503), InternalError, {"server", "overloaded"}),
    (Reply.error(429), RateLimitError, {"rate_limit"}),  # last, since the key then rests
]


@EVERY
@WAYS
def test_errors_of_a_kind_are_of_a_class(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """In the provider's own words each; with the id under which its support finds the request."""
    client = speak(wire, circuit_breaker=None)
    for reply, error, kinds in KINDS:
        server.reset()
        server.enqueue(reply or wire.wrong)

        with pytest.raises(error) as caught:
            ask(client, way, "Hi")

        assert caught.value.kind in kinds
        assert (wire.provider, (reply or wire.wrong).status) == (caught.value.provider, caught.value.status_code)
        assert caught.value.request_id or "request id" in wire.lacks
        assert 1 == server.hits


@EVERY
@WAYS
def test_a_refused_key_is_an_error_of_authentication(face: Any, wire: Wire, way: str) -> None:
    """Whatever its status; signatures and tokens that expire are made anew once."""
    with FakeServer(keys=["another"]) as server, face.client(wire.model, **wire.terms(server)) as client:
        with pytest.raises(AuthenticationError) as caught:
            ask(client, way, "Hi")

        assert "auth" == caught.value.kind
        assert server.hits in (1, 2)


STORY = "Once upon a time there was a king."


@EVERY
@pytest.mark.parametrize("framing", [None, "close"], ids=["framed", "unframed"])
def test_a_cut_stream_is_never_a_success(speak: Any, server: FakeServer, wire: Wire, framing: Any) -> None:
    """Wherever it is cut; what came is kept. Behind the proof of completeness nothing is missed."""
    client = speak(wire, circuit_breaker=None)
    server.enqueue(Reply(STORY))
    whole = ask(client, "stream", "Hi")
    kept = []
    for cut in (1, 5, 60, 200, -900, -600, -300, -150, -60, -20, -3):
        server.enqueue(Reply(STORY, cut=cut, framing=framing))

        try:
            answer = ask(client, "stream", "Hi")
        except StreamInterruptedError as error:
            kept.append(error.partial.text)
            assert STORY.startswith(error.partial.text)
            assert framing is None or "truncated" == error.kind
        else:
            assert cut < 0
            assert (STORY, whole.finish_reason, whole.raw_finish_reason) == (answer.text, answer.finish_reason, answer.raw_finish_reason)
    assert any(text.startswith("Once") for text in kept)


@EVERY
def test_a_cut_answer_is_never_a_success(speak: Any, server: FakeServer, wire: Wire) -> None:
    """Half a document is none."""
    server.enqueue(Reply(STORY, cut=-10, framing="close"))

    with pytest.raises(LLMKitError) as caught:
        speak(wire).complete("Hi")

    assert caught.value.kind in ("truncated", "malformed")


@EVERY
@WAYS
def test_a_good_status_proves_nothing(speak: Any, server: FakeServer, wire: Wire, way: str) -> None:
    """What is no answer is an error."""
    client = speak(wire, circuit_breaker=None)
    for raw in (b"", b"[]", b"null", b"7", b"<html>Bad gateway</html>", b"{}", b'{"choices": []}', b'{"error": null}'):
        server.enqueue(Reply(raw=raw))

        with pytest.raises(LLMKitError) as caught:
            ask(client, way, "Hi")

        assert caught.value.kind in ("truncated", "malformed", "protocol", "server"), raw


# -- secrets

CANARY = "canary-Q7w8-E9r0-T1y2-U3i4"


def secret(wire: Wire) -> dict[str, Any]:
    """Return what a client of *wire* is made with, where every secret is the canary."""
    options = {name: CANARY if name in ("token", "secret_access_key") else value for name, value in wire.options.items()}
    return {
        "options": options,
        **({"api_key": CANARY} if wire.keyed or not {"token", "secret_access_key"} & set(options) else {}),
    }


def told(error: BaseException) -> str:
    """Return what can be got out of *error*: texts, facts, its frames, its pickle."""
    facts = [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error)), *traceback.format_exception(error)]
    if isinstance(error, LLMKitError):
        facts += [json.dumps(error.to_dict(), default=str), repr(error.attempts), error.advice]
    return "\n".join(facts)


@EVERY
@WAYS
def test_no_secret_is_shown(speak: Any, server: FakeServer, caplog: Any, wire: Wire, way: str) -> None:
    """In no error, though the server repeats it, no representation, no log and no explanation."""
    caplog.set_level(logging.DEBUG)
    client = speak(wire, **secret(wire))
    for status in (401, 500):
        server.enqueue(*[Reply.error(status, message=f"Bad key {CANARY}", headers={"x-request-id": CANARY})] * 2)

        with pytest.raises(LLMKitError) as caught:
            ask(client, way, "Hi")
        explained = client.explain("Hi")

        shown = [told(caught.value), caplog.text, repr(client), repr(explained), str(explained), repr(explained.headers)]
        assert not any(CANARY in one for one in shown)
        server.reset()
