"""Many prompts at once, asked by the processes of a cluster, under limits that all of them share."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from llmkit import Budget, BudgetExceededError, ConfigurationError, RateLimit
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]

DELAY = 0.01  # seconds for which each answer is under way at the least
AT_ONCE = 3


def echo(request: RecordedRequest) -> Reply:
    return Reply(f"re: {request.json['messages'][-1]['content']}", delay=DELAY)


def most_at_once(requests: list[RecordedRequest]) -> int:
    """Return how many of *requests* were under way at once, at the least: each for ``DELAY`` from when it was there."""
    return max(sum(one.at <= other.at < one.at + DELAY for one in requests) for other in requests)


@contextlib.contextmanager
def dask() -> Iterator[Callable[[], Executor]]:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(lambda: __import__("os").environ.update(OPENAI_API_KEY=f"sk-test-{__import__('os').getpid():010}"))
        yield client.get_executor
    os.environ.pop("DASK_INTERNAL_INHERIT_CONFIG", None)


@contextlib.contextmanager
def ray() -> Iterator[Callable[[], Executor]]:
    found = pytest.importorskip("ray", reason="Ray is not installed")
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "ray_executor.py"))
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}, "worker_process_setup_hook": example["prepare"]}
    found.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield example["RayExecutor"]
    found.shutdown()


@pytest.fixture(scope="module", params=[dask, ray])
def executor(request: pytest.FixtureRequest) -> Iterator[Callable[[], Executor]]:
    """Return what makes executors of two other processes, each with a key of its own, so that the server sees which of them asks."""
    patched = pytest.MonkeyPatch()
    patched.setenv("OPENAI_API_KEY", "sk-test-there-01234")  # theirs are made from this process's
    patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their own: ports in use, sockets that are closed late
        with request.param() as make:
            yield make
    patched.undo()


def processes(requests: list[RecordedRequest]) -> set[int]:
    return {int((request.key or "").rpartition("-")[2]) for request in requests}


def test_two_processes_ask_under_one_limit(travelling: Connect, server: FakeServer, redis_server: Any, executor: Any) -> None:
    """What comes of it is what comes of it here."""
    server.always(echo)
    prompts = [f"p{number}" for number in range(60)]
    here = travelling().batch(prompts, max_concurrency=4)
    client = travelling(shared=redis_server.url, rate_limit=RateLimit(max_concurrency=AT_ONCE))
    there = client.batch(prompts, executor=executor(), max_concurrency=4)
    asked = server.requests[60:]
    for _ in range(20):  # a process that was slow to begin may have missed one
        if len(processes(asked)) == 2:
            break
        client.batch(prompts, executor=executor(), max_concurrency=4)
        asked = server.requests[60:]

    assert [f"re: {prompt}" for prompt in prompts] == [response and response.text for response in there.responses]
    assert [response.message for response in here.responses] == [response.message for response in there.responses]
    assert (here.usage, here.cost) == (there.usage, there.cost)
    assert 2 == len(processes(asked) - {os.getpid()})
    assert most_at_once(asked) <= AT_ONCE


def test_a_budget_is_kept_over_them(travelling: Connect, server: FakeServer, executor: Any) -> None:
    """Here: nothing is sent once it is spent."""
    server.always(Reply("ok", usage={"prompt_tokens": 0, "completion_tokens": 1000, "total_tokens": 1000}))
    budget = Budget("0.0126")  # of a thousand tokens that cost six hundredths of a cent, and a bit for each prompt
    client = travelling(budget=budget)

    result = client.batch([f"p{number}" for number in range(40)], executor=executor(), max_concurrency=2, max_tokens=1000)

    assert {BudgetExceededError} == {type(error) for error in result.errors if error is not None}
    assert (20, 20) == (result.succeeded, len(server.requests))
    assert (result.cost, 0) == (budget.spent, budget.reserved)
    assert list(range(40)) == [item.index for item in result]


def test_a_process_that_cannot_make_the_client_is_told_of(
    face: Any, server: FakeServer, executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As our own error, whatever their way to carry it."""
    monkeypatch.setenv("A_KEY_OF_THIS_PROCESS", "sk-test-0123456789")
    config = {"model": "openai/gpt-4o-mini", "api_key": "env:A_KEY_OF_THIS_PROCESS", "base_url": server.url("openai")}

    result = face.made("from_config", config).batch(["a", "b"], executor=executor())

    assert isinstance(result.stopped, ConfigurationError)
    assert "A_KEY_OF_THIS_PROCESS" in result.stopped.message
    assert [result.stopped] * 2 == result.errors
    assert 0 == server.hits
