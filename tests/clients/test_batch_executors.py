"""Many prompts at once, asked by threads and processes of the user's, on both clients."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from attrs import frozen

import llmkit
from llmkit import (
    BatchError,
    BatchResult,
    ConfigurationError,
    DeadlineExceededError,
    ModelRegistry,
    NoAvailableKeyError,
    Price,
    QuotaExceededError,
    StructuredOutputError,
    Target,
    Tool,
)
from llmkit.config.references import referenced
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]


def asked(request: RecordedRequest) -> str:
    text: str = request.json["messages"][-1]["content"]
    return text


def echo(request: RecordedRequest) -> Reply:
    """Answer with the prompt; refuse what has "bad" in it."""
    return Reply.error(400) if "bad" in asked(request) else Reply(f"re: {asked(request)}")


def texts(result: BatchResult) -> list[str | None]:
    return [None if response is None else response.text for response in result.responses]


def pid_of(request: RecordedRequest) -> int:
    """Return who asks, by the key that each process of the pool has for itself."""
    assert request.key is not None
    return int(request.key.rpartition("-")[2])


class Inline(Executor):
    """An executor in this very thread; what goes in and out is pickled, as on the way to others."""

    def __init__(self) -> None:
        self.packed: list[bytes] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.packed.append(pickle.dumps((fn, args, kwargs)))
        fn, args, kwargs = pickle.loads(self.packed[-1])
        future: Future[Any] = Future()
        try:
            result = pickle.dumps(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(pickle.loads(result))
        return future


# -- threads


def test_a_batch_goes_to_threads_of_the_users(connect: Connect, server: FakeServer) -> None:
    """What holds around the call holds there, too."""
    server.always(echo)
    client = connect()

    with ThreadPoolExecutor(3) as threads, llmkit.track() as seen:
        result = client.batch([f"p{number}" for number in range(20)], executor=threads)

    assert [f"re: p{number}" for number in range(20)] == texts(result)
    assert result.cost == seen.estimated_cost == client.usage.estimated_cost


def test_what_a_cache_had_is_not_counted_twice(travelling: Connect, server: FakeServer) -> None:
    """Nor by threads elsewhere, whose caches are their own."""
    server.always(echo)
    client = travelling(cache=True)

    result = client.batch(["a", "a", "a"], max_concurrency=1)
    with ThreadPoolExecutor(1) as threads:
        again = client.batch(["a"], executor=threads)

    assert [False, True, True] == [response.cached for response in result.responses]
    assert texts(again) == ["re: a"]
    assert client.usage.answers == server.hits


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(1), Inline], ids=["threads", "elsewhere"])
def test_an_answer_that_is_refused_is_counted_once(make: Callable[[], Executor], travelling: Connect, server: FakeServer) -> None:
    """It was paid for, although no item has it."""
    server.always(lambda request: Reply("no JSON"))
    client = travelling()

    with make() as executor, llmkit.track() as seen:
        result = client.batch(["a"], executor=executor, response_format={"type": "object", "properties": {"name": {"type": "string"}}})

    assert isinstance(result[0].error, StructuredOutputError)
    assert 1 == seen.snapshot().answers == client.usage.answers
    assert result[0].error.response is not None
    assert result[0].error.response.cost == seen.estimated_cost == client.usage.estimated_cost


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_an_executor_that_was_shut_down_is_an_error_of_ours(kind: Any, travelling: Connect, server: FakeServer) -> None:
    """Nothing is sent, and each item says why."""
    executor = kind(1)
    executor.shutdown()

    result = travelling().batch(["a", "b"], executor=executor)

    assert isinstance(result.stopped, BatchError)
    assert "after shutdown" in str(result.stopped)
    assert [result.stopped] * 2 == result.errors
    assert (0, False) == (server.hits, result.stopped.maybe_billed)


# -- processes


def test_a_batch_goes_to_processes(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """To all of them. The client travels as its settings; what was used is counted here."""
    server.always(echo)
    client = travelling()
    prompts = [f"p{number}" for number in range(40)] + ["bad"]

    with llmkit.track() as seen, llmkit.deadline(60):
        result = client.batch(prompts, executor=pool, max_concurrency=4)

    assert [*(f"re: p{number}" for number in range(40)), None] == texts(result)
    assert 400 == result[40].error.status_code
    assert result.cost == seen.estimated_cost == client.usage.estimated_cost
    for _ in range(50):  # a process that was slow to begin may have missed one
        if len({pid_of(request) for request in server.requests}) == 2:
            break
        client.batch(prompts, executor=pool, max_concurrency=4)
    assert 2 == len({pid_of(request) for request in server.requests} - {os.getpid()})


def test_a_result_is_that_of_this_process(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """Down to the cost, where the price is known here only."""
    ModelRegistry.register("openai", "priced-by-the-test", price=Price(input=1, output=2))
    server.always(echo)
    client = travelling("openai/priced-by-the-test")
    prompts = [f"p{number}" for number in range(12)] + ["bad", {"messages": "own", "temperature": 0.5}, 7]

    here = client.batch(prompts, temperature=0.1)
    there = client.batch(prompts, temperature=0.1, executor=pool)

    def facts(result: BatchResult) -> list[Any]:
        return [(item.index, item.ok, item.response and item.response.text, type(item.error), len(item.attempts)) for item in result]

    assert facts(here) == facts(there)
    assert here.usage == there.usage
    assert here.cost == there.cost != 0


class Backwards(Inline):
    """An executor that is done with nothing before all is there, then with what came last but one, and so on, and at last with the last."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, args))
        if len(self.waiting) == self.count:
            for late, arguments in reversed(self.waiting):
                late.set_result(super().submit(fn, *arguments).result())
        return future


def test_items_may_come_as_they_are_done(travelling: Connect, server: FakeServer) -> None:
    """Or in their order."""
    server.always(echo)
    prompts = [f"p{number}" for number in range(6)]
    client = travelling()

    done = [item.index for item in client.batch_iter(prompts, executor=Backwards(3), max_concurrency=1, ordered=False)]
    ordered = [item.index for item in client.batch_iter(prompts, executor=Backwards(3), max_concurrency=1)]
    gathered = client.batch(prompts, executor=Backwards(3), max_concurrency=1, ordered=False)

    assert [{2, 3}, {0, 1}, {4, 5}] == [set(done[:2]), set(done[2:4]), set(done[4:])]
    assert [0, 1, 2, 3, 4, 5] == ordered
    assert {2, 3} == {item.index for item in gathered[:2]}


def test_of_a_generator_a_window_is_held(travelling: Connect, server: FakeServer) -> None:
    """However many prompts it has."""
    server.always(echo)
    taken = 0

    def prompts() -> Iterator[str]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield f"p{number}"

    items = travelling().batch_iter(prompts(), executor=Inline(), max_concurrency=1)
    first = [next(items).index for _ in range(3)]
    items.close()

    assert [0, 1, 2] == first
    assert taken <= 260  # 128 chunks of two, and what is taken for those that were given


def test_no_key_is_in_what_travels(face: Any, travelling: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one of the environment, nor one by reference."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-environment")
    monkeypatch.setenv("OTHER_KEY", "sk-canary-reference")
    server.always(echo)
    executor = Inline()

    travelling().batch(["a"], executor=executor)
    config = {"model": "openai/gpt-4o-mini", "api_key": "env:OTHER_KEY", "base_url": server.url("openai")}
    face.made("from_config", config).batch(["a"], executor=executor)

    assert ["sk-canary-environment", "sk-canary-reference"] == [request.key for request in server.requests]
    assert b"canary" not in b"".join(executor.packed)
    assert b"OTHER_KEY" in executor.packed[1]


@pytest.mark.parametrize("said", [{"api_key": "sk-canary-0123456789"}, {"api_keys": ["sk-canary-0123456789", "env:OPENAI_API_KEY"]}])
def test_a_literal_key_does_not_travel(said: dict[str, Any], travelling: Connect, server: FakeServer) -> None:
    """Said before anything is packed; unless it is asked for."""
    server.always(echo)
    executor = Inline()

    with pytest.raises(ConfigurationError, match="literal key") as caught:
        travelling(**said).batch(["a"], executor=executor)

    assert ([], 0) == (executor.packed, server.hits)
    assert "canary" not in str(caught.value)
    assert travelling(**said, pickle_keys=True).batch(["a"], executor=executor)[0].ok


def test_a_client_without_its_key_there_is_told_of(travelling: Connect, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent, so nothing may be billed."""

    class WithoutKey(Inline):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            monkeypatch.delenv("OPENAI_API_KEY", raising=False)
            return super().submit(fn, *args, **kwargs)

    result = travelling().batch(["a", "b"], executor=WithoutKey())

    assert isinstance(result.stopped, (ConfigurationError, NoAvailableKeyError))
    assert [result.stopped] * 2 == result.errors
    assert "OPENAI_API_KEY" in str(result.stopped)
    assert (0, False) == (server.hits, result.stopped.maybe_billed)


def test_a_reference_is_read_there(
    face: Any, server: FakeServer, pool: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Wherever in the client it is. One that leads nowhere there is told of, and no process dies of it."""
    server.always(lambda request: Reply.error(404) if request.json["model"] == "gone" else echo(request))
    file = tmp_path / "key"
    file.write_text("sk-of-the-file-0123")
    monkeypatch.setenv("A_KEY_OF_THIS_PROCESS", "sk-test-0123456789")
    elsewhere = Target("openai/gpt-4o", api_keys=[referenced(f"file:{file}")], base_url=server.url("openai"))
    config = {"model": "openai/gone", "api_key": f"file:{file}", "base_url": server.url("openai"), "fallbacks": [elsewhere]}

    found = face.made("from_config", config).batch(["a"], executor=pool)
    missing = face.made("from_config", {**config, "api_key": "env:A_KEY_OF_THIS_PROCESS"}).batch(["a"], executor=pool)

    assert ["re: a"] == texts(found)
    assert ["sk-of-the-file-0123"] * 2 == [request.key for request in server.requests]
    assert isinstance(missing.stopped, ConfigurationError)
    assert "The environment variable A_KEY_OF_THIS_PROCESS is not set" in missing.stopped.message


def test_a_question_that_cannot_travel_is_named(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """The others go without it, and are asked once."""
    server.always(echo)

    @frozen
    class OfThisTest:
        name: str

    prompts = [
        "a",
        {"messages": "b", "response_format": OfThisTest},
        "c",
        {"messages": "d", "tools": [Tool(name="t", parameters={"type": "object"})]},
    ]

    result = travelling().batch(prompts, executor=pool, max_concurrency=2)

    assert ["re: a", None, "re: c", "re: d"] == texts(result)
    assert isinstance(result[1].error, ConfigurationError)
    assert "Item 1 cannot travel to another process: its response_format cannot be pickled." in str(result[1].error)
    assert Counter(["a", "c", "d"]) == Counter(asked(request) for request in server.requests)


def test_a_client_that_cannot_travel_is_named(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """An executor may carry more than pickle does, so it is tried."""
    with pytest.raises(ConfigurationError, match=r"The client cannot travel to another process"):
        travelling(hooks=[lambda event: None]).batch(["a"], executor=pool)

    assert 0 == server.hits


# -- deadlines


def test_a_deadline_counts_from_here(travelling: Connect, server: FakeServer) -> None:
    """And not from when a chunk is at last begun: it may have waited for others."""
    server.always(echo)

    class Late(Inline):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            traveller, chunk = args
            return super().submit(fn, traveller, chunk._replace(sent=chunk.sent - 100), **kwargs)

    with llmkit.deadline(60):
        result = travelling().batch(["a", "b"], executor=Late())

    assert [DeadlineExceededError] * 2 == [type(error) for error in result.errors]
    assert 0 == server.hits


class Never(Executor):
    """An executor whose workers never come."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def test_an_executor_that_never_answers_is_not_waited_for(travelling: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the deadline, and a moment more. What is not handed over by then never is."""
    monkeypatch.setattr("llmkit.batch.work.GRACE", 0.05)

    with llmkit.deadline(0.05):
        result = travelling().batch((f"p{number}" for number in range(600)), executor=Never(), max_concurrency=1)

    assert {DeadlineExceededError} == {type(error) for error in result.errors}
    assert (600, None) == (len(result), result.stopped)
    assert [True, False] == [result.errors[0].maybe_billed, result.errors[-1].maybe_billed]


def test_a_process_has_nothing_of_the_blocks_in_which_it_was_forked(travelling: Connect, server: FakeServer) -> None:
    """They are over for its next batch."""
    import multiprocessing
    import warnings

    server.always(echo)
    client = travelling()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, of which this process has some
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as forked:
            with llmkit.deadline(0.05) as until, llmkit.budget("0.01"):
                client.batch(["a"], executor=forked)
            while not until.passed:
                time.sleep(0.001)
            result = client.batch(["b"], executor=forked)

    assert ["re: b"] == texts(result)


# -- what goes wrong


def test_a_process_that_dies_ends_the_batch(travelling: Connect, server: FakeServer, own_pool: ProcessPoolExecutor) -> None:
    """What is there is kept; what was out may have been paid for, and is told; the rest was never asked."""
    given = []

    def answer(request: RecordedRequest) -> Reply:
        if given:
            os.kill(pid_of(request), signal.SIGKILL)
        return echo(request)

    server.always(answer)

    def prompts() -> Iterator[str]:
        yield from (f"p{number}" for number in range(600))

    items = travelling().batch_iter(prompts(), executor=own_pool, max_concurrency=1, ordered=False)
    with pytest.raises(BatchError, match="The executor lost a part of the batch, and nothing more was asked") as caught:
        for item in items:
            given.append(item)

    lost = [item for item in given if item.error is not None and item.error.maybe_billed]
    assert given[0].ok
    assert lost
    assert len(given) < 600
    assert all(isinstance(item.error, BatchError) and item.error.retryable for item in lost)
    assert {item.index for item in lost} == set(caught.value.errors)
    assert "BrokenProcessPool" in str(caught.value)


class Failing(Executor):
    """An executor whose workers die."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.asked = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked += 1
        future: Future[Any] = Future()
        future.set_exception(self.error)
        return future


@pytest.mark.parametrize("error", [RuntimeError("a worker died"), BrokenProcessPool("a worker died"), SystemExit("a worker died")])
def test_what_an_executor_loses_is_an_error_in_its_place(error: BaseException, travelling: Connect, tmp_path: Any) -> None:
    """It is asked again by the next run, and in strict mode reported, as it may have been paid for."""
    path = str(tmp_path / "run.jsonl")
    client, executor = travelling(), Failing(error)

    result = client.batch(["a", "b"], executor=executor, checkpoint=path)

    assert [BatchError, BatchError] == [type(each) for each in result.errors]
    assert all(each.maybe_billed and "a worker died" in str(each) for each in result.errors)
    assert {0, 1} == set(result.stopped.errors)
    assert 1 == executor.asked
    in_doubt = client.batch(["a", "b"], checkpoint=path, strict=True)
    assert all("may have been answered" in str(each) for each in in_doubt.errors)
    assert 2 == client.batch(["a", "b"], checkpoint=path).succeeded


def test_what_is_given_back_undone_was_not_asked(travelling: Connect, server: FakeServer) -> None:
    """Whoever cancels it ends the batch."""

    class Cancelling(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    result = travelling().batch(["a", "b"], executor=Cancelling())

    assert [result.stopped] * 2 == result.errors
    assert isinstance(result.stopped, BatchError)


class Bug(Exception):
    """Raised by a user's own code."""


def test_a_bug_is_raised_with_its_traceback(
    travelling: Connect, server: FakeServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered beside it is kept, in the same chunk and in another."""
    from llmkit.client import Client

    server.always(echo)
    path = str(tmp_path / "run.jsonl")
    real = Client.complete

    def complete(self: Client, messages: Any, **kwargs: Any) -> Any:
        if messages == "bug":
            raise Bug("of the user's")
        return real(self, messages, **kwargs)

    client = travelling()
    with monkeypatch.context() as patched, pytest.raises(Bug, match="of the user's") as caught:
        patched.setattr(Client, "complete", complete)
        client.batch(["a", "b", "c", "bug"], executor=Inline(), checkpoint=path, max_concurrency=1)

    assert "in complete" in str(caught.value.__cause__)
    again = client.batch(["a", "b", "c", "bug"], checkpoint=path)
    assert [True, True, True, False] == [item.restored for item in again]


def test_an_empty_account_ends_it_everywhere(travelling: Connect, server: FakeServer, pool: ProcessPoolExecutor) -> None:
    """Chunks that were not begun are not."""
    server.always(lambda request: Reply.error(429, code="insufficient_quota", type="insufficient_quota"))

    result = travelling(retry=None).batch([f"p{number}" for number in range(400)], executor=pool, max_concurrency=1)

    assert isinstance(result.stopped, QuotaExceededError)
    assert (400, 400) == (len(result), result.failed)
    assert server.hits < 100
