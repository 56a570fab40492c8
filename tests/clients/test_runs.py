"""The loop of a model and its tools, on every wire and both faces."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llmkit import (
    BudgetExceededError,
    DeadlineExceededError,
    FinishReason,
    LLMKitError,
    ModelRegistry,
    Price,
    ToolLoopLimitError,
    ToolResult,
    Usage,
)
from llmkit.testing import FakeServer, Reply

AWS = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

# Name -> the model, and what a client of it takes beside its address.
WIRES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("openai/gpt-4o-mini", {"api_key": "sk-test-0123456789"}),
    "openai-responses": ("openai-responses/gpt-4o-mini", {"api_key": "sk-test-0123456789"}),
    "anthropic": ("anthropic/claude-sonnet-4-5", {"api_key": "sk-ant-0123456789"}),
    "google": ("google/gemini-2.5-flash", {"api_key": "AIza-0123456789"}),
    "ollama": ("ollama/qwen3", {}),
    "cohere": ("cohere/command-a-03-2025", {"api_key": "co-0123456789"}),
    "bedrock": ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"options": AWS}),
    "sagemaker": ("sagemaker/my-endpoint", {"options": AWS}),
}

# How each wire says that an answer was cut at its greatest length.
CUT = {"openai-responses": "length", "anthropic": "max_tokens", "google": "MAX_TOKENS", "cohere": "MAX_TOKENS", "bedrock": "max_tokens"}

LOOK = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2}), ("count_people", {"city": "Oslo"})]


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


async def count_people(city: str) -> dict[str, Any]:
    """Count the people in a city."""
    await asyncio.sleep(0)
    return {"city": city, "people": 700_000}


def fail(city: str) -> str:
    """Look up what cannot be found."""
    raise LookupError(f"no such city: {city}")


TOOLS = [get_weather, count_people, fail]


class Wire:
    """A client of one wire on one face."""

    def __init__(self, face: Any, server: FakeServer, name: str) -> None:
        self.face = face
        self.server = server
        self.name = name
        self.model, self.terms = WIRES[name]
        self.client = face.client(self.model, base_url=server.url(name), retry=None, **self.terms)

    def beside_calls(self, text: str) -> str:
        """Return the text of an answer that calls tools: on one wire, what is said beside calls is a plan, and thought."""
        return "" if self.name == "cohere" else text

    def other(self, name: str) -> Wire:
        return Wire(self.face, self.server, name)

    def run(self, *args: Any, streamed: bool = False, **kwargs: Any) -> Any:
        """Return the result of a run, however it was got."""
        if not streamed:
            return self.client.run(*args, **kwargs)
        stream = self.client.run_stream(*args, **kwargs)
        events = list(stream)
        result = stream.result
        assert events[-1].name == "done"
        assert events[-1].result == result
        assert [event.step for event in events if event.name == "step"] == list(result.steps)
        assert "".join(event.text for event in events if event.name == "text") == "".join(step.text for step in result.steps)
        started = {event.call.id for event in events if event.name == "tool_start"}
        ended = [event.tool_run for event in events if event.name == "tool_end"]
        assert len(ended) == len(result.tool_runs)
        assert started <= {run.call.id for run in ended}
        return result

    def close(self) -> None:
        self.client.close()


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, face: Any, server: FakeServer) -> Any:
    """Each test that asks for a wire runs once on each, on each face."""
    made = Wire(face, server, request.param)
    yield made
    made.close()


def given_back(result: Any) -> list[tuple[str, str, bool]]:
    """Return what the model was given back: the tool, the text, and whether it is an error."""
    return [(run.result.name, run.result.text, run.result.is_error) for run in result.tool_runs]


def assert_whole(messages: Any) -> None:
    """Every call has its result, in the order of the calls, right behind the answer that made it."""
    open_calls: list[str] = []
    for message in messages:
        results = [part.call_id for part in message.content if isinstance(part, ToolResult)]
        assert results == open_calls[: len(results)]
        open_calls = open_calls[len(results) :]
        if message.role != "tool":
            assert [] == open_calls
            open_calls = [call.id for call in message.tool_calls]
    assert [] == open_calls


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_until_the_model_is_done(wire: Wire, streamed: bool) -> None:
    """Several at once, sync and async ones; their results go back in the order of the calls, whichever ended first."""
    wire.server.enqueue(Reply("I look.", tool_calls=LOOK), Reply(tool_calls=[("count_people", {"city": "Paris"})]), Reply("Take a coat."))
    steps: list[Any] = []

    result = wire.run("A coat?", tools=TOOLS, system="Be brief.", on_step=steps.append, max_tokens=500, streamed=streamed)

    assert ("Take a coat.", FinishReason.STOP) == (result.text, result.finish_reason)
    assert [
        ("get_weather", "rain in Paris for 1", False),
        ("get_weather", "rain in Rome for 2", False),
        ("count_people", '{"city": "Oslo", "people": 700000}', False),
        ("count_people", '{"city": "Paris", "people": 700000}', False),
    ] == given_back(result)
    assert [1, 2, 3] == [step.number for step in result.steps]
    assert steps == list(result.steps)
    assert ["user", "assistant", "tool", "tool", "tool", "assistant", "tool", "assistant"] == [turn.role for turn in result.messages]
    assert_whole(result.messages)
    assert 3 == wire.server.hits


def test_usage_and_cost_are_summed(wire: Wire) -> None:
    """Over all answers of the run."""
    provider, _, model = wire.model.partition("/")
    ModelRegistry.register(provider, model, price=Price(input=1, output=1))
    wire.server.enqueue(Reply(tool_calls=LOOK), Reply("Done."))

    result = wire.run("A coat?", tools=TOOLS)

    assert sum((step.response.usage for step in result.steps), Usage()) == result.usage
    assert result.usage.total_tokens > 0
    assert sum(step.response.cost for step in result.steps) == result.cost > 0


def test_a_failing_tool_is_told_to_the_model(wire: Wire) -> None:
    """With what it raised; the others' results are there, and the model goes on."""
    wire.server.enqueue(Reply(tool_calls=[("fail", {"city": "Atlantis"}), ("get_weather", {"city": "Paris"})]), Reply("Sorry."))

    result = wire.run("Where?", tools=TOOLS)

    assert [("fail", "LookupError: no such city: Atlantis", True), ("get_weather", "rain in Paris for 1", False)] == given_back(result)
    assert isinstance(result.tool_runs[0].error.original_error, LookupError)
    assert "Sorry." == result.text
    assert b"no such city: Atlantis" in wire.server.requests[1].body


def test_a_wrong_argument_is_told_to_the_model(wire: Wire) -> None:
    """With its path; the tool is not run."""
    wire.server.enqueue(Reply(tool_calls=[("get_weather", {"city": 3}), ("get_weather", {"days": 1})]), Reply("Sorry."))

    result = wire.run("Where?", tools=TOOLS)

    assert [
        ("get_weather", "The arguments of tool get_weather do not fit: $.city: expected text, got 3", True),
        ("get_weather", "The arguments of tool get_weather do not fit: $.city: is required, but missing", True),
    ] == given_back(result)
    assert b"expected text, got 3" in wire.server.requests[1].body


def test_an_unknown_tool_is_told_to_the_model(wire: Wire) -> None:
    """With those that there are."""
    wire.server.enqueue(Reply(tool_calls=[("get_whether", {"city": "Paris"})]), Reply("Sorry."))

    result = wire.run("Where?", tools=TOOLS)

    text = "There is no tool 'get_whether'. Did you mean 'get_weather'? The tools are: get_weather, count_people, fail."
    assert [("get_whether", text, True)] == given_back(result)
    assert "Sorry." == result.text


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_in_which_an_answer_was_cut_is_not_made(wire: Wire, streamed: bool) -> None:
    """What is missing of its arguments nobody can tell; the calls before it were whole, and the model may call again."""
    calls = [("get_weather", {"city": "Paris"}), ("wipe", {})]
    wire.server.enqueue(Reply("I look.", tool_calls=calls, finish_reason=CUT.get(wire.name, "length")), Reply("Done."))
    wiped: list[str] = []

    def wipe(folder: str = "/") -> None:
        """Wipe a folder."""
        wiped.append(folder)

    result = wire.run("Wipe /tmp.", tools=[*TOOLS, wipe], streamed=streamed, on_tool_error="raise")

    assert [] == wiped
    assert [FinishReason.LENGTH, FinishReason.STOP] == [step.response.finish_reason for step in result.steps]
    text = "The call was not made: the answer was cut at its greatest length, and the call with it. Make it again, and say less."
    assert [("get_weather", "rain in Paris for 1", False), ("wipe", text, True)] == given_back(result)
    assert_whole(result.messages)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_step_limit_ends_the_run_with_all_there_was(wire: Wire, streamed: bool) -> None:
    """The last step's tools are not run, since nobody would read of them; the transcript can be gone on with."""
    wire.server.always(Reply("Once more.", tool_calls=[("get_weather", {"city": "Paris"})]))

    with pytest.raises(ToolLoopLimitError, match="2 steps") as caught:
        wire.run("Where?", tools=TOOLS, max_steps=2, streamed=streamed)

    run = caught.value.run
    assert run is not None
    assert ["rain in Paris for 1", "The call was not made: 2 steps are all that is allowed, and this was the last."] == [
        one.result.text for one in run.tool_runs
    ]
    assert (2, wire.beside_calls("Once more."), 2) == (len(run.steps), run.text, wire.server.hits)
    assert run.usage.total_tokens > 0
    assert_whole(run.messages)
    wire.server.always(Reply("Rain."))
    assert "Rain." == wire.run(run.messages, tools=TOOLS).text


def test_a_budget_ends_the_run(wire: Wire) -> None:
    """Before the request that would be over it; what was paid for is on the error."""
    provider, _, model = wire.model.partition("/")
    ModelRegistry.register(provider, model, price=Price(input=1, output=1))
    wire.server.enqueue(Reply("I look.", tool_calls=[("tell_much", {})]), Reply("Done."))

    def tell_much() -> str:
        """Tell much."""
        return "many words " * 2000

    with pytest.raises(BudgetExceededError) as caught:
        wire.run("Hi", tools=[tell_much], budget="0.0015", max_tokens=1000)

    run = caught.value.run
    assert run is not None
    assert (1, wire.beside_calls("I look."), 1) == (len(run.steps), run.text, wire.server.hits)
    assert run.steps[0].response.cost == run.cost
    assert_whole(run.messages)


def test_a_deadline_that_passes_in_a_tool_ends_the_run(wire: Wire) -> None:
    """At once, whatever the tool still does; what was done up to then is on the error."""
    wire.server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Paris"}), ("dawdle", {}), ("adawdle", {})]), Reply("Done."))
    over = threading.Event()

    def dawdle() -> str:
        """Take long."""
        over.wait(5)
        return "late"

    async def adawdle() -> str:
        """Take long."""
        await asyncio.sleep(5)
        return "late"

    begun = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"before its tools were done: dawdle, adawdle") as caught:
        wire.run("Where?", tools=[get_weather, dawdle, adawdle], deadline=0.25)
    elapsed = time.monotonic() - begun
    over.set()

    run = caught.value.run
    assert run is not None
    assert elapsed < 2
    unfinished = "The call was not finished: the run ended before."
    assert ["rain in Paris for 1", unfinished, unfinished] == [one.result.text for one in run.tool_runs]
    assert_whole(run.messages)
    assert 1 == wire.server.hits


def test_what_a_tool_does_to_its_arguments_is_not_in_the_transcript(wire: Wire) -> None:
    """There is what the model said; nor does it matter what is done to those that ``approve`` is shown."""
    said = {"rows": [1, 2], "options": {"a": [1]}, "more": [{"x": 1}]}
    wire.server.enqueue(Reply(tool_calls=[("consume", said)]), Reply("Done."))
    seen: list[Any] = []

    def consume(rows: list[int], options: dict[str, Any], more: Any) -> None:
        """Consume rows."""
        seen.append(options["a"].pop())
        rows.clear()
        more[0].clear()

    def approve(call: Any) -> bool:
        call.arguments["options"]["a"].append(2)
        return True

    result = wire.run("Consume.", tools=[consume], approve=approve, on_tool_error="raise")

    assert [1] == seen
    assert said == dict(result.tool_runs[0].call.arguments) == dict(result.messages[1].tool_calls[0].arguments)


def test_a_deadline_that_passes_in_an_answer_ends_the_run(wire: Wire) -> None:
    """It is one for the whole run, and not one for each request."""
    wire.server.enqueue(Reply(tool_calls=LOOK), Reply("Done.", hang=True))

    with pytest.raises(DeadlineExceededError) as caught:
        wire.run("Where?", tools=TOOLS, deadline=0.3)

    assert caught.value.run is not None
    assert 1 == len(caught.value.run.steps)
    assert_whole(caught.value.run.messages)


def test_an_error_of_the_provider_carries_the_run(wire: Wire) -> None:
    """A run that breaks off in its third minute is not lost."""
    wire.server.enqueue(Reply(tool_calls=LOOK), Reply.error(500))

    with pytest.raises(LLMKitError) as caught:
        wire.run("Where?", tools=TOOLS)

    run = caught.value.run
    assert run is not None
    assert (1, 3) == (len(run.steps), len(run.tool_runs))
    assert_whole(run.messages)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_by_prompt_need_no_tools_of_the_provider(wire: Wire, streamed: bool) -> None:
    """The request names none; calls are read from a block, results are the user's words; whoever reads the stream sees no block."""
    block = 'I look.\n\n```tool_calls\n[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "fail"}]\n```\nIt is sunny.'
    wire.server.enqueue(Reply(block), Reply("Rain."))

    result = wire.client.run_stream("A coat?", tools=TOOLS, tools_by_prompt=True, system="Be brief.")
    texts = list(result.text_iter()) if streamed else [event.text for event in result if event.name == "text"]
    result = result.result

    assert "I look.\n\nRain." == "".join(texts)
    missing = "The arguments of tool fail do not fit: $.city: is required, but missing"
    assert [("get_weather", "rain in Paris for 1", False), ("fail", missing, True)] == given_back(result)
    assert ["I look.", "Rain."] == [turn.text for turn in result.messages if turn.role == "assistant"]
    assert_whole(result.messages)
    first, second = (request.body.decode() for request in wire.server.requests)
    assert "```tool_calls" in first
    assert "Look up the weather." in first
    assert "rain in Paris for 1" in second
    assert "It is sunny." not in second
    assert all("tools" not in request.json and "toolConfig" not in request.json for request in wire.server.requests)


def test_a_transcript_is_continued_on_another_provider(wire: Wire, tmp_path: Path) -> None:
    """Saved with one client, loaded with another; it is taken by every wire, with tools and by prompt."""
    wire.server.enqueue(Reply("I look.", thinking="Hm." if wire.name != "cohere" else None, tool_calls=LOOK), Reply("Rain."))
    agent = wire.face.agent(wire.client, system="Be brief.", tools=TOOLS)
    agent.run("The weather?")
    agent.save(tmp_path / "talk.json")

    for name in WIRES:
        other = wire.other(name)
        wire.server.enqueue(Reply(tool_calls=[("get_weather", {"city": "Oslo"})]), Reply("Rain there, too."), Reply("Yes."))
        loaded = wire.face.loaded(tmp_path / "talk.json", other.client, tools=TOOLS)

        result = loaded.run("And in Oslo?")
        by_prompt = loaded.run("Sure?", tools_by_prompt=True)

        assert ("Rain there, too.", "Yes.") == (result.text, by_prompt.text)
        assert 12 == len(loaded.messages)
        assert_whole(loaded.messages)
        sent = wire.server.requests[-1].body.decode()
        assert "Be brief." in sent
        assert "rain in Rome for 2" in sent
        other.close()
    assert 2 + 3 * len(WIRES) == wire.server.hits
    assert not any(secret in (tmp_path / "talk.json").read_text() for secret in ("0123456789", "EXAMPLEKEY"))
