"""Agents: what they remember, forget, save and load."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmkit_async
from llmkit import (
    Agent,
    BudgetExceededError,
    Client,
    ConfigurationError,
    Image,
    InternalError,
    ModelRegistry,
    Native,
    Price,
    Thinking,
    ToolLoopLimitError,
    assistant,
    user,
)
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncAgent, AsyncClient

Connect = Callable[..., Any]


def look(city: str = "Paris") -> str:
    """Look up the weather."""
    return f"rain in {city}"


def calls() -> Reply:
    return Reply("I look.", tool_calls=[("look", {"city": "Oslo"})])


def test_an_agent_remembers(connect: Connect, face: Any, server: FakeServer) -> None:
    """Questions, calls, results and answers; the system message is sent with each request and is no part of it."""
    server.enqueue(calls(), Reply("Rain."), Reply("Yes."))
    agent = face.agent(connect(), system="Be brief.", tools=[look], temperature=0.5)

    first = agent.run("The weather in Oslo?")
    second = agent.run("Sure?")

    assert ("Rain.", "Yes.") == (first.text, second.text)
    assert ["user", "assistant", "tool", "assistant", "user", "assistant"] == [turn.role for turn in agent.messages]
    sent = server.requests[-1].json
    assert ["system", "user", "assistant", "tool", "assistant", "user"] == [turn["role"] for turn in sent["messages"]]
    assert ("Be brief.", 0.5) == (sent["messages"][0]["content"], sent["temperature"])
    assert 1 == len(second.steps)


def test_an_agent_streams(connect: Connect, face: Any, server: FakeServer) -> None:
    """The memory grows when the stream has been read to its end."""
    server.enqueue(calls(), Reply("Rain."))
    agent = face.agent(connect(), tools=[look])

    stream = agent.run_stream("The weather?")
    before = len(agent.messages)
    texts = list(stream.text_iter())

    assert (0, 4) == (before, len(agent.messages))
    assert "I look.Rain." == "".join(texts)


def test_an_agent_forgets(connect: Connect, face: Any, server: FakeServer) -> None:
    """All, when it is told to."""
    agent = face.agent(connect(), messages=[user("Hi"), assistant("Hello")])
    agent.run("And?")

    agent.reset()

    assert [] == agent.messages
    assert "You said: New" == agent.run("New").text
    assert 1 == len(server.requests[-1].json["messages"])


def test_a_run_that_fails_leaves_the_memory_as_it_was(connect: Connect, face: Any, server: FakeServer) -> None:
    """What there was is on the error, and may be taken up again."""
    server.enqueue(calls(), Reply.error(500))
    client = connect(retry=None)
    agent = face.agent(client, tools=[look])

    with pytest.raises(InternalError) as caught:
        agent.run("The weather?")

    assert [] == agent.messages
    assert caught.value.run is not None
    twin = getattr(agent, "twin", agent)
    twin.messages = caught.value.run.messages
    server.enqueue(Reply("Rain."))
    assert "Rain." == agent.run("Go on.").text
    assert ["user", "assistant", "tool", "user", "assistant"] == [turn.role for turn in agent.messages]


def test_what_is_said_with_a_run_counts_for_that_run(connect: Connect, face: Any, server: FakeServer) -> None:
    """Over what was said to the agent."""
    server.always(calls())
    agent = face.agent(connect(), tools=[look], max_steps=5, temperature=0.5)

    with pytest.raises(ToolLoopLimitError, match="1 steps"):
        agent.run("Hi", max_steps=1, temperature=0.1, system="Now.")

    body = server.requests[-1].json
    assert (0.1, "Now.") == (body["temperature"], body["messages"][0]["content"])


def test_a_budget_is_one_for_all_runs(connect: Connect, face: Any, server: FakeServer) -> None:
    """Of the agent."""
    ModelRegistry.register("openai", "gpt-4o-mini", price=Price(input=1000, output=1000))
    agent = face.agent(connect(), budget="1.5", max_tokens=1000)
    server.always(Reply("Hi", usage={"prompt_tokens": 500, "completion_tokens": 500, "total_tokens": 1000}))

    agent.run("Hi")
    with pytest.raises(BudgetExceededError):
        agent.run("Hi")

    assert 1 == server.hits


def test_a_conversation_is_saved_and_loaded(connect: Connect, face: Any, server: FakeServer, tmp_path: Path) -> None:
    """As JSON, with every part as it was; the key and the tools stay behind."""
    path = tmp_path / "talk.json"
    picture = Image(data=b"\x89PNG", media_type="image/png")
    messages = [user("Look:", picture), assistant(Thinking("Hm.", "sealed"), Native("openai", {"a": [1]}), "A cat.")]
    agent = face.agent(connect(api_key="sk-canary-0123456789"), system="Be brief.", tools=[look], messages=messages)

    agent.save(path)
    loaded = face.loaded(path, connect(), tools=[look])
    other = face.loaded(path, connect(), system="Be long.")

    assert messages == loaded.messages
    assert ("Be brief.", "Be long.") == (loaded.system, other.system)
    assert "canary" not in path.read_text()
    assert {"llmkit", "version", "system", "messages"} == json.loads(path.read_text()).keys()


def test_saving_replaces_the_file_as_a_whole(connect: Connect, face: Any, tmp_path: Path) -> None:
    """Nothing else is left in the directory."""
    path = tmp_path / "talk.json"
    agent = face.agent(connect(), messages="Hi")
    agent.save(path)
    agent.reset()

    agent.save(path)

    assert [path] == list(tmp_path.iterdir())
    assert [] == face.loaded(path, connect()).messages


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no transcript that can be read"),
        ("[1]", "no transcript of an agent"),
        ('{"llmkit": "transcript", "version": 2, "messages": []}', "of version 2"),
        ('{"llmkit": "transcript", "version": 1}', "no transcript that can be read"),
        ('{"llmkit": "transcript", "version": 1, "messages": [{"role": "nobody"}]}', "no transcript that can be read"),
        ('{"llmkit": "transcript", "version": 1, "messages": [3]}', "no transcript that can be read"),
    ],
)
def test_what_is_no_conversation_is_refused(connect: Connect, face: Any, tmp_path: Path, text: str, words: str) -> None:
    """With the file's name; one that is not there is the caller's own error."""
    path = tmp_path / "talk.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=words) as caught:
        face.loaded(path, connect())
    with pytest.raises(FileNotFoundError):
        face.loaded(tmp_path / "none.json", connect())

    assert "talk.json" in caught.value.message


def test_one_conversation_is_one_run_at_a_time(server: FakeServer) -> None:
    """Two at once would be told in an order that neither has seen."""
    server.enqueue(calls())
    begun, over = threading.Event(), threading.Event()

    def look(city: str) -> str:
        begun.set()
        over.wait(5)
        return city

    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k")
    agent = Agent(client, tools=[look])
    thread = threading.Thread(target=agent.run, args=("Hi",))
    thread.start()
    assert begun.wait(5)
    with pytest.raises(ConfigurationError, match="in a run already"):
        agent.run("Hi")
    over.set()
    thread.join(5)

    assert 4 == len(agent.messages)
    assert "You said: And?" == agent.run("And?").text
    client.close()


def test_a_stream_that_was_overtaken_is_refused(connect: Connect, face: Any, server: FakeServer) -> None:
    """It was made for another memory."""
    agent = face.agent(connect())
    stream = agent.run_stream("One")
    agent.run("Two")

    with pytest.raises(ConfigurationError, match="memory has changed"):
        stream.collect()

    assert 2 == len(agent.messages)


def test_a_stream_that_is_left_gives_the_agent_free(connect: Connect, face: Any, server: FakeServer) -> None:
    """Its memory is as it was."""
    agent = face.agent(connect(), tools=[look])
    server.enqueue(calls())
    stream = agent.run_stream("One")
    next(stream)
    stream.close()

    assert "You said: Two" == agent.run("Two").text
    assert 2 == len(agent.messages)


def test_each_agent_takes_the_client_of_its_package(server: FakeServer) -> None:
    """And says so at once."""
    client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k")
    twin = AsyncClient("openai/gpt-4o-mini", base_url=server.url("openai"), api_key="k")

    with pytest.raises(ConfigurationError, match="Agent takes a Client, not AsyncClient"):
        Agent(twin)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="AsyncAgent takes an AsyncClient, not Client"):
        AsyncAgent(client)  # type: ignore[arg-type]
    for agent in (Agent, AsyncAgent):
        with pytest.raises(ConfigurationError, match=r"takes an? \w+, not str"):
            agent("openai/gpt-4o-mini")  # type: ignore[arg-type]
    assert AsyncAgent is llmkit_async.Agent
    assert "Agent(Client('openai/gpt-4o-mini'), 0 messages)" == repr(Agent(client))
    asyncio.run(twin.close())
    client.close()
