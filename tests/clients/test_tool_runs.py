"""How the tools of a run are run: at once, in time, approved, given up, cancelled; what they may give back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import pickle
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from typing import Any

import attrs
import pydantic
import pytest

import llmkit
from llmkit import (
    Budget,
    Client,
    ConfigurationError,
    Document,
    FinishReason,
    Image,
    ModelRegistry,
    Native,
    Price,
    StructuredOutputError,
    Tool,
    ToolExecutionError,
    ToolRegistry,
    tool,
    tool_result,
    user,
)
from llmkit.resilience.deadline import current_deadline
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]
PNG = b"\x89PNG picture"


def calls(*names: str) -> Reply:
    return Reply("I look.", tool_calls=[(name, {}) for name in names])


def told(result: Any) -> list[str]:
    return [run.result.text for run in result.tool_runs]


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when the test is, so that no tool waits any longer."""
    event = threading.Event()
    yield event
    event.set()


# -- at once


def test_tools_of_one_answer_run_at_once(connect: Connect, server: FakeServer) -> None:
    """Each of the four waits for the others, sync and async ones alike."""
    server.enqueue(calls("meet", "meet", "ameet", "ameet"), Reply("Done."))
    arrived = threading.Semaphore(0)
    everyone = threading.Event()

    def meet() -> str:
        arrived.release()
        assert everyone.wait(5)
        return "met"

    async def ameet() -> str:
        arrived.release()
        while not everyone.is_set():
            await asyncio.sleep(0.001)
        return "met, too"

    def watch() -> None:
        for _ in range(4):
            arrived.acquire(timeout=5)
        everyone.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = connect().run("Hi", tools=[meet, ameet])
    watcher.join()

    assert ["met", "met", "met, too", "met, too"] == told(result)


def test_no_more_run_at_once_than_are_allowed(connect: Connect, server: FakeServer) -> None:
    """The others wait for their turn, and come in their order."""
    server.enqueue(calls(*["crowd"] * 7), Reply("Done."))
    lock = threading.Lock()
    inside, most = 0, 0

    def crowd() -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.005)
        with lock:
            inside -= 1
        return most

    result = connect().run("Hi", tools=[crowd], max_parallel=3)

    assert 7 == len(result.tool_runs)
    assert most <= 3


def test_one_after_the_other_they_run_where_the_caller_is(server: FakeServer) -> None:
    """So that what is bound to a thread works, as a connection of sqlite3 is; async ones have one loop for the whole run."""
    server.enqueue(calls("insert", "insert", "loop"), calls("loop"), Reply("Done."))
    database = sqlite3.connect(":memory:")
    database.execute("create table x (y)")
    loops = []

    def insert() -> int:
        database.execute("insert into x values (1)")
        return threading.get_ident()

    async def loop() -> None:
        loops.append(asyncio.get_running_loop())

    with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
        result = client.run("Hi", tools=[insert, loop], max_parallel=1)

    assert [str(threading.get_ident())] * 2 == told(result)[:2]
    assert [(2,)] == database.execute("select count(*) from x").fetchall()
    assert loops[0] is loops[1]
    assert loops[0].is_closed()
    database.close()


def test_the_sync_client_runs_async_tools_under_a_running_loop(server: FakeServer) -> None:
    """As in a notebook."""
    server.enqueue(calls("later"), Reply("Done."))

    async def later() -> str:
        await asyncio.sleep(0)
        return "later"

    async def cell() -> Any:
        with Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            return client.run("Hi", tools=[later])

    assert ["later"] == told(asyncio.run(cell()))


def test_async_tools_of_the_twin_run_on_its_own_loop(server: FakeServer) -> None:
    """And those that are none in threads, so that they do not hold it up."""
    server.enqueue(calls("on_loop", "in_thread"), Reply("Done."))
    seen: dict[str, Any] = {}

    async def on_loop() -> None:
        seen["loop"] = asyncio.get_running_loop()

    def in_thread() -> None:
        seen["thread"] = threading.current_thread()

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            await client.run("Hi", tools=[on_loop, in_thread], max_parallel=1)
            assert seen["loop"] is asyncio.get_running_loop()

    asyncio.run(main())

    assert seen["thread"] is not threading.main_thread()


def test_what_a_function_returns_to_be_awaited_is_awaited(connect: Connect, server: FakeServer) -> None:
    """A decorator may have hidden that it is a coroutine function."""
    server.enqueue(calls("hidden", "broken"), Reply("Done."))

    async def work() -> str:
        await asyncio.sleep(0)
        return "found"

    async def fail() -> str:
        raise LookupError("lost")

    def hidden() -> Awaitable[str]:
        return work()

    def broken() -> Awaitable[str]:
        return fail()

    result = connect().run("Hi", tools=[hidden, broken])

    assert ["found", "LookupError: lost"] == told(result)


def test_tools_see_the_callers_context(connect: Connect, server: FakeServer) -> None:
    """Its context variables, in threads and tasks."""
    server.enqueue(calls("look", "alook"), Reply("Done."))
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")

    def look() -> str:
        return variable.get()

    async def alook() -> str:
        return variable.get()

    token = variable.set("something")
    result = connect().run("Hi", tools=[look, alook])
    variable.reset(token)

    assert ["something", "something"] == told(result)


# -- in time


def test_a_tool_that_takes_too_long_is_given_up(connect: Connect, server: FakeServer, over: threading.Event) -> None:
    """By its own time or that of the run; the model is told, and others have their turn meanwhile."""
    server.enqueue(calls("dawdle", "adawdle", "quick", "patient"), Reply("Done."))
    cancelled = threading.Event()

    @tool(timeout=0.05)
    def dawdle() -> str:
        over.wait(5)
        return "late"

    async def adawdle() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "late"

    def quick() -> str:
        return "here"

    @tool(timeout=5)
    def patient() -> str:
        time.sleep(0.1)
        return "here, too"

    result = connect().run("Hi", tools=[dawdle, adawdle, quick, patient], tool_timeout=0.03, max_parallel=2)

    assert [
        "The tool dawdle took longer than 0.05 s and was given up.",
        "The tool adawdle took longer than 0.03 s and was given up.",
        "here",
        "here, too",
    ] == told(result)
    assert [True, True, False, False] == [run.result.is_error for run in result.tool_runs]
    assert [TimeoutError] * 2 == [type(run.error.original_error) for run in result.tool_runs[:2]]
    assert cancelled.wait(1)


def test_what_a_tool_asks_of_models_has_no_more_time_than_it_has(connect: Connect, server: FakeServer) -> None:
    """The deadline inside is the tightest of its own and the run's."""
    server.enqueue(calls("brief", "long"), Reply("Done."))
    left: dict[str, float] = {}

    def note(name: str) -> None:
        deadline = current_deadline()
        assert deadline is not None
        left[name] = deadline.remaining()

    @tool(timeout=5)
    def brief() -> None:
        note("brief")

    def long() -> None:
        note("long")

    connect().run("Hi", tools=[brief, long], deadline=20)

    assert 0 < left["brief"] <= 5 < left["long"] <= 20


def test_a_deadline_around_the_run_holds_for_its_tools(connect: Connect, server: FakeServer, over: threading.Event) -> None:
    """As for its requests."""
    server.enqueue(calls("dawdle"), Reply("Done."))

    def dawdle() -> None:
        over.wait(5)

    client = connect()
    with llmkit.deadline(0.2), pytest.raises(llmkit.DeadlineExceededError, match="dawdle"):
        client.run("Hi", tools=[dawdle])


def test_what_tools_ask_of_models_is_in_the_runs_budget_but_not_in_its_usage(connect: Connect, server: FakeServer) -> None:
    """The budget bounds all that is spent; the usage is that of the run's own answers. A ``track()`` around counts both."""
    ModelRegistry.register("openai", "gpt-4o-mini", price=Price(input=1000, output=1000))
    server.enqueue(calls("ask"), Reply("Inner."), Reply("Done."))
    inner = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k")
    budget = Budget("10")

    def ask() -> str:
        return inner.complete("Hi").text

    with llmkit.track() as tracker:
        result = connect().run("Hi", tools=[ask], budget=budget)

    assert 3 == tracker.snapshot().answers
    assert budget.spent == tracker.estimated_cost
    assert result.cost is not None
    assert result.cost < budget.spent
    assert sum(step.response.usage.total_tokens for step in result.steps) == result.usage.total_tokens
    inner.close()


def test_a_budget_around_the_beginning_of_a_stream_holds_to_its_end(connect: Connect, server: FakeServer) -> None:
    """As for any call."""
    ModelRegistry.register("openai", "gpt-4o-mini", price=Price(input=1000, output=1000))
    server.enqueue(calls("look"), Reply("Done."))

    def look() -> None: ...

    with llmkit.budget("10") as budget, llmkit.track() as tracker:
        stream = connect().run_stream("Hi", tools=[look])
    result = stream.collect()

    assert result.cost == budget.spent == tracker.estimated_cost > 0


# -- approved


def test_calls_are_made_when_they_are_approved(connect: Connect, server: FakeServer) -> None:
    """A refusal is told to the model with its reason, and is no failure; whoever needs no approval is not asked about."""
    server.enqueue(calls("drop", "drop", "drop", "look"), Reply("Done."))
    asked: list[str] = []
    done: list[str] = []
    answers: list[Any] = [True, False, "Not on a Friday."]

    @tool(needs_approval=True)
    def drop() -> str:
        done.append("drop")
        return "dropped"

    @tool(needs_approval=False)
    def look() -> str:
        return "looked"

    def approve(call: Any) -> Any:
        asked.append(call.name)
        return answers[len(asked) - 1]

    result = connect().run("Hi", tools=[drop, look], approve=approve, on_tool_error="raise")

    assert ["dropped", "The call was not approved.", "The call was not approved: Not on a Friday.", "looked"] == told(result)
    assert [False, True, True, False] == [run.result.is_error for run in result.tool_runs]
    assert [None] * 4 == [run.error for run in result.tool_runs]
    assert (["drop"] * 3, ["drop"]) == (asked, done)


def test_who_approves_is_asked_about_every_tool_that_says_nothing(connect: Connect, server: FakeServer) -> None:
    """But not about calls that could not be made."""
    server.enqueue(Reply(tool_calls=[("look", {}), ("look", {"x": 1}), ("lok", {})]), Reply("Done."))
    asked: list[Any] = []

    def look() -> str:
        return "looked"

    def approve(call: Any) -> bool:
        asked.append(call)
        return True

    connect().run("Hi", tools=[look], approve=approve)

    assert [("look", {})] == [(call.name, dict(call.arguments)) for call in asked]


def test_the_twin_awaits_its_hooks(server: FakeServer) -> None:
    """A plain ``approve`` may wait for somebody: it has a thread."""
    server.enqueue(calls("look"), calls("look"), Reply("Done."))
    steps: list[int] = []
    threads: list[threading.Thread] = []

    def look() -> str:
        return "looked"

    async def approve(_: Any) -> bool:
        await asyncio.sleep(0)
        return False

    def approve_in_thread(_: Any) -> bool:
        threads.append(threading.current_thread())
        return True

    async def on_step(step: Any) -> None:
        await asyncio.sleep(0)
        steps.append(step.number)

    async def main() -> list[str]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            first = await client.run("Hi", tools=[look], approve=approve, on_step=on_step)
            server.enqueue(calls("look"), Reply("Done."))
            second = await client.run("Hi", tools=[look], approve=approve_in_thread)
            return told(first) + told(second)

    assert ["The call was not approved."] * 2 + ["looked"] == asyncio.run(main())
    assert [1, 2, 3] == steps
    assert threading.main_thread() not in threads


def test_what_a_hook_raises_ends_the_run(connect: Connect, server: FakeServer) -> None:
    """It is the caller's own."""
    server.always(calls("look"))

    def look() -> None: ...

    def refuse(_: Any) -> bool:
        raise PermissionError("nobody")

    for hooks in ({"approve": refuse}, {"on_step": refuse}):
        with pytest.raises(PermissionError, match="nobody"):
            connect().run("Hi", tools=[look], **hooks)


def test_a_tool_that_is_approved_too_late_is_not_run(connect: Connect, server: FakeServer) -> None:
    """The deadline of the run has passed."""
    server.enqueue(calls("drop", "drop"))
    done: list[str] = []

    def drop() -> None:
        done.append("drop")

    def approve(_: Any) -> bool:
        time.sleep(0.12)
        return True

    with pytest.raises(llmkit.DeadlineExceededError, match="drop, drop") as caught:
        connect().run("Hi", tools=[drop], approve=approve, deadline=0.1)

    assert [] == done
    assert caught.value.run is not None
    assert 2 == len(caught.value.run.tool_runs)


def test_the_twin_waits_for_an_approval_no_longer_than_its_deadline(server: FakeServer) -> None:
    """Whoever was asked, a coroutine function or a thread."""
    server.always(calls("look"))
    over = threading.Event()
    cancelled: list[bool] = []

    def look() -> None: ...

    async def approve(_: Any) -> bool:
        try:
            await asyncio.sleep(5)
        finally:
            cancelled.append(True)
        return True

    def approve_in_thread(_: Any) -> bool:
        return over.wait(5)

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            for hook in (approve, approve_in_thread):
                begun = time.monotonic()
                with pytest.raises(llmkit.DeadlineExceededError):
                    await client.run("Hi", tools=[look], approve=hook, deadline=0.1)
                assert time.monotonic() - begun < 2

    asyncio.run(main())
    over.set()

    assert [True] == cancelled


def test_a_cancelled_run_starts_no_tool(connect: Connect, face: Any, server: FakeServer) -> None:
    """Neither while somebody is asked for an approval, nor between two tools that run one after the other."""
    server.always(calls("first", "second"))
    done: list[str] = []
    client = connect()

    def approve(_: Any) -> bool:
        client.cancel_all()
        return True

    def first() -> None:
        done.append("first")
        client.cancel_all()

    def second() -> None:
        done.append("second")

    for hooks in ({"approve": approve}, {"max_parallel": 1}):
        with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
            client.run("Hi", tools=[first, second], **hooks)

    assert ["first"] == done


def test_a_verdict_is_a_bool_or_a_reason(connect: Connect, server: FakeServer) -> None:
    """None would be an answer that was forgotten."""
    server.enqueue(calls("look"))

    def look() -> None: ...

    with pytest.raises(ConfigurationError, match="approve returns True, False"):
        connect().run("Hi", tools=[look], approve=lambda call: None)


# -- failing


def test_a_failure_ends_the_run_where_that_is_wished(connect: Connect, server: FakeServer) -> None:
    """With the tool, its arguments, its error as the cause, and the run."""
    server.enqueue(Reply(tool_calls=[("fail", {"x": 1})]))

    def fail(x: int) -> None:
        raise LookupError("lost")

    with pytest.raises(ToolExecutionError, match="The tool fail failed: LookupError: lost") as caught:
        connect().run("Hi", tools=[fail], on_tool_error="raise")

    error = caught.value
    assert ("fail", {"x": 1}) == (error.tool, error.arguments)
    assert isinstance(error.__cause__, LookupError)
    assert error.run is not None
    assert ["user", "assistant", "tool"] == [turn.role for turn in error.run.messages]
    copy = pickle.loads(pickle.dumps(error))
    assert (error.run.messages, error.run.usage) == (copy.run.messages, copy.run.usage)


@pytest.mark.parametrize("call", [("gone", {}), ("look", {"x": 1}), ("look", "{broken")])
def test_a_wrong_call_ends_the_run_where_that_is_wished(connect: Connect, server: FakeServer, call: Any) -> None:
    """It is the same error."""
    server.enqueue(Reply(tool_calls=[call]))

    def look() -> None: ...

    with pytest.raises(ToolExecutionError) as caught:
        connect().run("Hi", tools=[look], on_tool_error="raise")

    assert call[0] == caught.value.tool


def test_what_is_no_exception_ends_the_run_as_it_is(connect: Connect, server: FakeServer) -> None:
    """A tool that ends the program ends it."""
    server.enqueue(calls("leave"))

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        connect().run("Hi", tools=[leave])


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("hidden", [False, True])
def test_so_does_what_a_coroutine_function_raises(connect: Connect, server: FakeServer, ending: type[BaseException], hidden: bool) -> None:
    """It would stop the event loop, and nobody would ever be told."""
    server.enqueue(calls("leave", "rest"))

    async def work() -> None:
        raise ending

    async def leave() -> None:
        await work()

    async def rest() -> None:
        await asyncio.sleep(5)

    def leave_hidden() -> Awaitable[None]:
        return work()

    with pytest.raises(ending):
        connect().run("Hi", tools=[Tool(name="leave", function=leave_hidden if hidden else leave), rest])


def test_a_tool_that_cancels_itself_has_failed(connect: Connect, server: FakeServer) -> None:
    """It does not cancel the run."""
    server.enqueue(calls("quit_it"), Reply("Done."))

    async def quit_it() -> None:
        raise asyncio.CancelledError

    result = connect().run("Hi", tools=[quit_it])

    assert ["The tool was cancelled."] == told(result)


def test_a_long_error_is_cut(connect: Connect, server: FakeServer) -> None:
    """It would fill the model's window."""
    server.enqueue(calls("fail"), Reply("Done."))

    def fail() -> None:
        raise ValueError("x" * 100_000)

    (text,) = told(connect().run("Hi", tools=[fail]))

    assert 2001 == len(text)


# -- what comes back


@attrs.frozen
class Day:
    day: date
    rain: bool


class Guest(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", ["text"]),
        (None, ["null"]),
        ({"a": [1, None]}, ['{"a": [1, null]}']),
        ([Day(date(2026, 11, 21), True)], ['[{"day": "2026-11-21", "rain": true}]']),
        (Guest(name="Ada"), ['{"name": "Ada"}']),
        (Image(data=PNG, media_type="image/png"), [Image]),
        (["See:", Document(data=b"%PDF", media_type="application/pdf")], ["See:", Document]),
    ],
    ids=repr,
)
def test_a_tool_gives_back_text_json_pictures_or_documents(connect: Connect, server: FakeServer, value: Any, content: list[Any]) -> None:
    """The model sees them."""
    server.enqueue(calls("give"), Reply("Done."))

    def give():  # type: ignore[no-untyped-def]  # noqa: ANN202 - anything
        return value

    client = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic"))
    result = client.run("Hi", tools=[give])

    found = result.tool_runs[0].result.content
    assert content == [part.text if hasattr(part, "text") else type(part) for part in found]
    assert [False] == [run.result.is_error for run in result.tool_runs]


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), Native("x", {}), tool_result("x", "y").content[0]], ids=repr)
def test_what_a_model_cannot_be_given_is_a_failure_of_the_tool(connect: Connect, server: FakeServer, value: Any) -> None:
    """And told like one."""
    server.enqueue(calls("give"), Reply("Done."))

    def give():  # type: ignore[no-untyped-def]  # noqa: ANN202 - anything
        return value

    result = connect().run("Hi", tools=[give])

    assert result.tool_runs[0].result.is_error
    assert told(result)[0].startswith("ConfigurationError: A tool")


def test_pydantic_models_are_arguments(connect: Connect, server: FakeServer) -> None:
    """Where pydantic is installed; what is wrong with them is told with its path."""
    server.enqueue(Reply(tool_calls=[("greet", {"guest": {"name": "Ada"}}), ("greet", {"guest": {"name": 3}})]), Reply("Done."))

    def greet(guest: Guest) -> str:
        return f"hello {guest.name}"

    result = connect().run("Hi", tools=[greet])

    first, second = told(result)
    assert "hello Ada" == first
    assert "$.guest.name" in second


# -- before anything is sent


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"max_parallel": True}, "max_parallel"),
        ({"tool_timeout": 0}, "tool_timeout"),
        ({"deadline": -1}, "deadline"),
        ({"budget": "much"}, "budget"),
        ({"on_tool_error": "ignore"}, "on_tool_error is 'return' or 'raise'"),
        ({"approve": True}, "approve is a function"),
        ({"on_step": "x"}, "on_step is a function"),
        ({"tools": [Tool(name="x")]}, "The tool x has no function"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"tools_by_prompt": True, "tool_choice": "required"}, "tools_by_prompt does not go with tool_choice"),
        ({"tools_by_prompt": True, "response_format": "json"}, "tools_by_prompt does not go with response_format"),
        ({"messages": []}, "messages is empty"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(
    connect: Connect, server: FakeServer, arguments: dict[str, Any], words: str
) -> None:
    """By its name."""
    with pytest.raises((ConfigurationError), match=words):
        connect().run(**{"messages": "Hi", "tools": [], **arguments})
    assert 0 == server.hits


def test_a_tool_that_needs_approval_needs_somebody_to_give_it(connect: Connect, server: FakeServer) -> None:
    """It is never run without."""

    @tool(needs_approval=True, version="2")
    def drop() -> None: ...

    with pytest.raises(ConfigurationError, match="drop 2 needs approval"):
        connect().run("Hi", tools=[drop])
    assert 0 == server.hits


def test_a_tool_that_lacks_a_package_is_refused_by_name(connect: Connect, server: FakeServer) -> None:
    """With the command that helps; a registry is as good as a list."""

    @tool(requires=["no-such-package>=2"])
    def plot() -> None: ...

    for tools in ([plot], ToolRegistry([plot])):
        with pytest.raises(ConfigurationError, match="pip install 'no-such-package>=2'"):
            connect().run("Hi", tools=tools)
    assert 0 == server.hits


def test_the_sync_client_has_plain_hooks(server: FakeServer) -> None:
    """What nobody awaits would approve of everything."""

    async def approve(_: Any) -> bool:
        return False

    with (
        Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client,
        pytest.raises(ConfigurationError, match="approve is a coroutine function"),
    ):
        client.run("Hi", tools=[], approve=approve)  # type: ignore[arg-type]


# -- the messages given, and the parameters


def test_calls_that_the_messages_wait_for_are_made_first(connect: Connect, server: FakeServer) -> None:
    """An answer of ``complete`` can be gone on with."""
    server.enqueue(calls("look"), Reply("Done."))

    def look() -> str:
        return "looked"

    client = connect()
    reply = client.complete("Hi", tools=[look])
    stream = client.run_stream([user("Hi"), reply.message], tools=[look])
    events = [(event.name, event.number) for event in stream]

    assert [("tool_start", 0), ("tool_end", 0), ("text", 1), ("step", 1), ("done", 1)] == events
    assert ["user", "assistant", "tool", "assistant"] == [turn.role for turn in stream.result.messages]


def test_a_forced_choice_holds_for_the_first_step(connect: Connect, server: FakeServer) -> None:
    """Else the model could never answer; ``none`` goes on."""
    server.enqueue(calls("look"), Reply("Done."))

    def look() -> None: ...

    connect().run("Hi", tools=[look], tool_choice="required", temperature=0.5, model="openai/gpt-4o")

    first, second = (request.json for request in server.requests)
    assert ("required", None) == (first["tool_choice"], second.get("tool_choice"))
    assert [("gpt-4o", 0.5)] * 2 == [(body["model"], body["temperature"]) for body in (first, second)]


def test_a_choice_that_the_client_forces_holds_for_the_first_step_as_well(connect: Connect, server: FakeServer) -> None:
    """A default of the client is no reason to call tools for ever; one that goes nowhere with words is refused as any other."""
    server.enqueue(calls("look"), Reply("Done."))
    client = connect(tool_choice="required")

    def look() -> None: ...

    result = client.run("Hi", tools=[look])
    with pytest.raises(ConfigurationError, match="tools_by_prompt does not go with tool_choice"):
        client.run("Hi", tools=[look], tools_by_prompt=True)

    assert "Done." == result.text
    assert ["required", "auto"] == [request.json["tool_choice"] for request in server.requests]


def test_the_last_answer_may_be_typed(connect: Connect, server: FakeServer) -> None:
    """And one that does not fit carries the run."""
    server.enqueue(calls("look"), Reply('{"day": "2026-11-21", "rain": true}'), calls("look"), Reply('{"day": 3}'))

    def look() -> None: ...

    result = connect().run("Hi", tools=[look], response_format=Day)
    with pytest.raises(StructuredOutputError) as caught:
        connect().run("Hi", tools=[look], response_format=Day)

    assert Day(date(2026, 11, 21), True) == result.parsed
    assert caught.value.run is not None
    assert 1 == len(caught.value.run.steps)


def test_a_run_without_tools_is_one_answer(connect: Connect, server: FakeServer) -> None:
    """Nothing is said of tools."""
    result = connect().run("Hi", tools=[])

    assert ("You said: Hi", 1) == (result.text, len(result.steps))
    assert "tools" not in server.requests[0].json
    assert "You said: Hi" == result._repr_markdown_()


def test_calls_in_a_filtered_answer_are_not_made(connect: Connect, server: FakeServer) -> None:
    """The run is over; its transcript is whole."""
    server.enqueue(Reply(tool_calls=[("look", {})], finish_reason="content_filter"))

    def look() -> None:
        raise AssertionError("made")

    result = connect().run("Hi", tools=[look])

    assert FinishReason.CONTENT_FILTER == result.finish_reason
    assert ["The call was not made: the answer was filtered."] == told(result)


def test_a_pause_is_gone_on_from(connect: Connect, server: FakeServer) -> None:
    """Anthropic's own tools may take more than one request."""
    server.enqueue(Reply("Wait.", finish_reason="pause_turn"), Reply("Done."))

    result = connect("anthropic/claude-sonnet-4-5", base_url=server.url("anthropic")).run("Hi", tools=[])

    assert ["Wait.", "Done."] == [step.text for step in result.steps]


def test_a_block_that_cannot_be_read_is_told_to_the_model(connect: Connect, server: FakeServer) -> None:
    """In words, as it was called; the model may write it again."""
    server.enqueue(Reply("```tool_calls\n[{name: look}]\n```"), Reply('Sorry.\n```tool_calls\n{"name": "look"}\n```'), Reply("Done."))

    def look() -> str:
        return "looked"

    result = connect().run("Hi", tools=[look], tools_by_prompt=True)

    assert ["user", "assistant", "user", "assistant", "tool", "assistant"] == [turn.role for turn in result.messages]
    assert "Your block of tool_calls cannot be read" in result.messages[2].text
    assert ["looked"] == told(result)


# -- left and cancelled


def test_a_stream_that_is_left_ends_its_tools(connect: Connect, face: Any, server: FakeServer, over: threading.Event) -> None:
    """Coroutines are cancelled; what there was up to then can still be had."""
    server.enqueue(calls("adawdle"), Reply("Done."))
    begun, cancelled = threading.Event(), threading.Event()

    async def adawdle() -> None:
        begun.set()
        try:
            await asyncio.sleep(5)
        finally:
            cancelled.set()

    def quick() -> None: ...

    stream = connect().run_stream("Hi", tools=[adawdle, quick])
    events = iter(stream)
    while next(events).name != "tool_start":
        pass
    server.wait_for(lambda server: server.hits)
    events.close()  # type: ignore[attr-defined]
    face.settle()

    assert not begun.is_set() or cancelled.wait(1)
    assert ["user", "assistant", "tool"] == [turn.role for turn in stream.so_far.messages]
    with pytest.raises(ConfigurationError, match="not been read to its end"):
        _ = stream.result


def test_cancelling_a_task_cancels_running_tools(server: FakeServer) -> None:
    """They may clean up; the run is over at once."""
    server.enqueue(calls("adawdle", "dawdle"))
    over = threading.Event()
    seen: list[str] = []

    async def adawdle() -> None:
        seen.append("begun")
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    def dawdle() -> None:
        over.wait(5)

    async def main() -> None:
        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            task = asyncio.ensure_future(client.run("Hi", tools=[adawdle, dawdle]))
            while not seen:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ["begun", "cleaned up"] == seen
            assert 0 == client.cancel_all()

    asyncio.run(main())
    over.set()


def test_cancel_all_ends_runs_in_threads(server: FakeServer, over: threading.Event) -> None:
    """While their tools run, too; nothing is noted of them afterwards."""
    server.enqueue(calls("dawdle"))
    begun = threading.Event()
    found: list[BaseException] = []

    def dawdle() -> None:
        begun.set()
        over.wait(5)

    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k")

    def run() -> None:
        try:
            client.run("Hi", tools=[dawdle])
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(5)
    count = client.cancel_all()
    thread.join(5)

    assert 1 == count
    assert [concurrent.futures.CancelledError] == [type(error) for error in found]
    assert 0 == client.cancel_all()
    client.close()


def test_cancel_all_ends_runs_in_tasks(server: FakeServer) -> None:
    """The same for the twin."""
    server.enqueue(calls("dawdle"))

    async def main() -> None:
        begun = asyncio.Event()

        async def dawdle() -> None:
            begun.set()
            await asyncio.sleep(5)

        async with AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k") as client:
            task = asyncio.ensure_future(client.run("Hi", tools=[dawdle]))
            await begun.wait()
            assert 1 == client.cancel_all()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert 0 == client.cancel_all()

    asyncio.run(main())


def test_a_run_leaves_no_threads_behind(connect: Connect, face: Any, server: FakeServer) -> None:
    """Neither those of tools nor that of the loop."""
    server.always(lambda request: calls("look", "alook") if len(request.json["messages"]) < 6 else Reply("Done."))

    def look() -> None: ...

    async def alook() -> None: ...

    client = connect()
    for _ in range(3):
        client.run("Hi", tools=[look, alook])
    face.settle()
    gc.collect()

    deadline = time.monotonic() + 2
    while {"llmkit-look", "llmkit-tools"} & {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < deadline
        time.sleep(0.001)
