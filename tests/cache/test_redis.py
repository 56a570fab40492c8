"""The cache in a Redis: a real one, on a free port, where there is one to be run."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import pickle
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from llmkit import CacheStats, Client, ConfigurationError
from llmkit.cache import redis as home
from llmkit.cache.base import Kept
from llmkit.cache.redis import SKEW, RedisCache
from llmkit.testing import FakeServer, Reply
from llmkit_async import AsyncClient

SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

Make = Callable[..., RedisCache]


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class RedisServer:
    """A Redis that lives as long as a test."""

    def __init__(self, directory: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.command = [
            str(SERVER), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory),
            *options,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.005)
            else:
                return
        msg = "redis-server did not start"
        raise RuntimeError(msg)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the tests that do it no harm."""
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """One for the test alone, not yet started."""
    made = RedisServer(tmp_path, "--requirepass", "canary-password")
    yield made
    made.stop()


@pytest.fixture
def make(running: RedisServer) -> Iterator[Make]:
    """Return a maker of caches in one empty Redis, which closes them in the end."""
    with redis.Redis.from_url(running.url) as client:
        client.flushall()
    made: list[RedisCache] = []

    def cache(url: str = running.url, **kwargs: Any) -> RedisCache:
        made.append(RedisCache(url, **kwargs))
        return made[-1]

    yield cache
    for each in made:
        each.close()


@needs_redis
def test_what_is_put_is_got_by_all(make: Make) -> None:
    """Bytes are bytes; it is forgotten and cleared."""
    first, second = make(), make()

    first.put("a", b"answer \x00 \xff")
    first.put("b", b"1")

    assert Kept(b"answer \x00 \xff") == second.get("a")
    second.delete("a")
    assert [None, Kept(b"1")] == [first.get("a"), first.get("b")]
    first.clear()
    assert second.get("b") is None
    assert CacheStats() == first.stats()


@needs_redis
def test_prefixes_keep_caches_apart(make: Make, running: RedisServer) -> None:
    """Also in what is cleared, and whatever they look like as patterns; nothing else in the Redis is touched."""
    caches = [make(prefix=prefix) for prefix in ("a:", "a*:", "[a]:")]
    for cache in caches:
        cache.put("k", cache.prefix.encode())
    with redis.Redis.from_url(running.url) as client:
        client.set("precious", b"1")

        caches[1].clear()

        assert [Kept(b"a:"), None, Kept(b"[a]:")] == [cache.get("k") for cache in caches]
        assert b"1" == client.get("precious")


@needs_redis
def test_many_entries_are_cleared(make: Make) -> None:
    """In portions."""
    cache = make()
    for number in range(1201):
        cache.put(f"{number}", b"1")

    cache.clear()

    assert not any(cache.get(f"{number}") for number in range(1201))


@needs_redis
def test_one_secret_is_shared(make: Make) -> None:
    """By all of one prefix."""
    first = make()

    assert first.secret() == make().secret()
    assert first.secret() != make(prefix="other:").secret()


@needs_redis
def test_ages_are_told_by_the_wall_clock(make: Make, running: RedisServer) -> None:
    """With some patience for another machine's; Redis itself forgets what is of no more use."""
    clock = Clock()
    cache = make(ttl=10, stale_if_error=5, clock=clock)
    cache.put("a", b"1")
    with redis.Redis.from_url(running.url) as client:
        lasts = client.pttl("llmkit:cache:a")

    found = []
    for seconds in (-SKEW, SKEW + 9.5, 1, 4.5):
        clock.now += seconds
        found.append(cache.get("a"))
    cache.put("b", b"2")
    clock.now -= SKEW + 1

    assert [Kept(b"1"), Kept(b"1"), Kept(b"1", stale=True), None] == found
    assert cache.get("b") is None
    assert 14_000 < lasts <= 15_000


@needs_redis
@pytest.mark.parametrize("wrong", [b"", b"short", b"x" * 100, "a list"])
def test_what_is_no_entry_is_no_answer(make: Make, running: RedisServer, wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A miss, and one warning."""
    cache = make()
    with redis.Redis.from_url(running.url) as client:
        if isinstance(wrong, bytes):
            client.set("llmkit:cache:a", wrong)
        else:
            client.rpush("llmkit:cache:a", "x")

        assert [None, None] == [cache.get("a"), cache.get("a")]

    assert ["WARNING"] == [record.levelname for record in caplog.records]


@needs_redis
def test_threads_and_tasks_make_one_request(running: RedisServer, make: Make, server: FakeServer) -> None:
    """Through a Redis as from memory; and the next client finds the answer there."""
    server.always(Reply("Fine", delay=0.1))
    kwargs: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": running.url}
    answers: list[Any] = []

    with Client("openai/gpt-4o-mini", **kwargs) as client:
        threads = [threading.Thread(target=lambda: answers.append(client.complete("One"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    async def main() -> list[Any]:
        async with AsyncClient("openai/gpt-4o-mini", **kwargs) as twin:
            found = [await twin.complete("One"), await twin.stream("One").collect()]
            return [*found, *await asyncio.gather(*(twin.complete("Two") for _ in range(20)))]

    answers += asyncio.run(main())

    assert 2 == server.hits
    assert 42 == len(answers)
    assert 40 == sum(answer.cached for answer in answers)


@needs_redis
def test_no_key_and_no_prompt_is_in_the_redis(running: RedisServer, make: Make, server: FakeServer) -> None:
    """An answer is."""
    server.always(Reply("what the model said"))
    cache = make()
    arguments: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-canary-0123456789", "cache": cache}
    with Client("openai/gpt-4o-mini", **arguments) as client:
        client.complete("canary-prompt")

    with redis.Redis.from_url(running.url) as raw:
        held = b"".join(key + (raw.get(key) or b"") for key in raw.scan_iter())
    assert b"what the model said" in held
    assert b"canary" not in held


@needs_redis
def test_a_redis_that_is_lost_is_a_miss(own: RedisServer, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Before, while and after: calls go on, one warning is given, and it is asked again after a while."""
    url = f"redis://:canary-password@127.0.0.1:{own.port}/0"
    cache = RedisCache(url)
    arguments: dict[str, Any] = {"base_url": server.url("openai"), "api_key": "sk-test-0123456789", "cache": cache}
    with caplog.at_level(logging.DEBUG, "llmkit"), Client("openai/gpt-4o-mini", **arguments) as client:
        texts = [client.complete("Say hi").text for _ in range(3)]
        own.start()
        still_resting = client.complete("Say hi").cached
        cache._asked_again_at = 0.0
        back = [client.complete("Say hi").cached for _ in range(2)]
        own.stop()
        texts += [client.complete("Say hi").text for _ in range(3)]
    cache.close()

    assert ["You said: Say hi"] * 6 == texts
    assert not still_resting
    assert [False, True] == back
    assert 1 == sum(record.levelname == "WARNING" and record.name == "llmkit.cache" for record in caplog.records)
    assert "canary" not in caplog.text + repr(cache)


@needs_redis
def test_a_wrong_password_is_a_miss_and_is_not_shown(own: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """What Redis says of it is told."""
    own.start()
    cache = RedisCache(f"redis://user:canary-wrong@127.0.0.1:{own.port}/0")

    with caplog.at_level(logging.DEBUG, "llmkit"):
        assert cache.get("a") is None

    assert "canary" not in caplog.text
    assert 1 == len(caplog.records)
    cache.close()


def test_a_redis_that_says_nothing_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Longer than was said; and then it is left alone for a while."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.2)
        began = time.monotonic()

        found = [cache.get("a") for _ in range(10)]
        cache.put("a", b"1")

        spent = time.monotonic() - began
    cache.close()
    assert [None] * 10 == found
    assert 0.19 < spent < 1.5  # one after the other they take 2.2 s
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_pickle_holds_the_address_and_no_password() -> None:
    """One with a password stays here."""
    cache = RedisCache("redis://127.0.0.1:1/0", ttl=3, stale_if_error=2, prefix="p:", timeout=0.25)

    copy = pickle.loads(pickle.dumps(cache))

    assert (cache._url, 3, 2, "p:", 0.25) == (copy._url, copy.ttl, copy.stale_if_error, copy.prefix, copy.timeout)
    for url in ("redis://:canary@127.0.0.1:1/0", "redis://127.0.0.1:1/0?password=canary"):
        secretive = RedisCache(url)
        with pytest.raises(ConfigurationError, match="password"):
            pickle.dumps(secretive)
        assert "canary" not in repr(secretive)


@pytest.mark.parametrize("wrong", ["http://localhost", "localhost:6379", "", None, 3])
def test_what_is_no_address_is_refused(wrong: Any) -> None:
    """And not shown: it may hold a password."""
    with pytest.raises(ConfigurationError, match="begins with redis://"):
        RedisCache(wrong)


def test_the_package_is_asked_for_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the cache is made, and not in the middle of a call."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"llmkit\[redis\]"):
        RedisCache("redis://localhost")


def test_a_forked_child_has_a_lock_of_its_own() -> None:
    """The connections look after themselves."""
    cache = RedisCache("redis://127.0.0.1:1/0")
    cache._opening.acquire()

    cache.renew()

    assert not cache._opening.locked()
    assert home.REST > 0
