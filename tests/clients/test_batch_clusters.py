"""Many prompts at once, asked by the processes of a cluster, under limits that all of them share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmkit import RateLimit
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]

DELAY = 0.01  # seconds for which each answer is under way at the least
AT_ONCE = 3


def echo(request: RecordedRequest) -> Reply:
    return Reply(f"re: {request.json['messages'][-1]['content']}", delay=DELAY)


def most_at_once(requests: list[RecordedRequest]) -> int:
    """Return how many of *requests* were under way at once, at the least: each for ``DELAY`` from when it was there."""
    return max(sum(one.at <= other.at < one.at + DELAY for one in requests) for other in requests)


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """Two processes of Dask, each with a key of its own, so that the server sees which of them asks."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    patched = pytest.MonkeyPatch()
    patched.setenv("OPENAI_API_KEY", "sk-test-there-01234")  # theirs are made from this process's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own: ports in use, sockets that it closes late
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.run(lambda: __import__("os").environ.update(OPENAI_API_KEY=f"sk-test-{__import__('os').getpid():010}"))
            yield client
    patched.undo()
    os.environ.pop("DASK_INTERNAL_INHERIT_CONFIG", None)


def test_dask_asks_in_two_processes_under_one_limit(travelling: Connect, server: FakeServer, redis_server: Any, dask: Any) -> None:
    """What comes of it is what comes of it here."""
    server.always(echo)
    prompts = [f"p{number}" for number in range(60)]
    here = travelling().batch(prompts, max_concurrency=4)
    client = travelling(shared=redis_server.url, rate_limit=RateLimit(max_concurrency=AT_ONCE))
    there = client.batch(prompts, executor=dask.get_executor(), max_concurrency=4)
    asked = list(server.requests)[60:]
    for _ in range(20):  # a process that was slow to begin may have missed one
        if len({request.key for request in asked}) == 2:
            break
        client.batch(prompts, executor=dask.get_executor(), max_concurrency=4)
        asked = list(server.requests)[60:]

    assert [f"re: {prompt}" for prompt in prompts] == [response and response.text for response in there.responses]
    assert here.responses[7].message == there.responses[7].message
    assert (here.usage, here.cost) == (there.usage, there.cost)
    assert set(dask.run(os.getpid).values()) == {int((request.key or "").rpartition("-")[2]) for request in asked}
    assert most_at_once(asked) <= AT_ONCE
