"""
A cache in a Redis, for the processes of many machines.

Rule 1: nothing waits for it longer than ``timeout``; it is asked once, and left alone for ``REST`` seconds after it failed.
Rule 2: an entry carries its time, which is the wall clock's, and a checksum; the clocks of two machines may differ by ``SKEW`` seconds.
Rule 3: how much it holds, and what gives way, is Redis's own business: its ``maxmemory`` and ``maxmemory-policy``.
Rule 4: from an event loop it is used in a thread, with the same code: one hop costs less than one reply.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from llmkit.cache.base import CacheFault, ResponseCache
from llmkit.cache.opening import REDIS, holds_password
from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import number
from llmkit.secrets import clean

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisCache"]

REST = 5.0  # seconds
SKEW = 5.0  # seconds
CLEARED_AT_ONCE = 500

_HEAD = struct.Struct(">d16s")  # when it was made, and the checksum of that and the rest


class RedisCache(ResponseCache):
    """
    Answers in a Redis.

    Args:
        url: ``redis://host:6379/0``, ``rediss://`` over TLS, or ``unix://`` with a socket's path.
        ttl: Seconds that an answer is good for; None for as long as Redis keeps it.
        stale_if_error: Seconds beyond that in which it is still given where the endpoint is down.
        prefix: Before all its keys; caches of one prefix share their answers.
        timeout: Seconds to connect, and to wait for a reply.
        clock: Gives the time, in seconds since 1970.

    Raises:
        ConfigurationError: If *url* is none, a number is not above zero, or the package ``redis`` is not installed.
    """

    blocking = True

    def __init__(
        self,
        url: str,
        ttl: float | None = None,
        *,
        stale_if_error: float | None = None,
        prefix: str = "llmkit:cache:",
        timeout: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        given: Any = url
        if not isinstance(given, str) or not given.startswith(REDIS):
            # Not shown: it may hold a password.
            msg = f"A Redis's url begins with {', '.join(REDIS[:-1])} or {REDIS[-1]}."
            raise ConfigurationError(msg)
        number("timeout", timeout, above=0.0)
        if importlib.util.find_spec("redis") is None:
            msg = "A cache in a Redis needs the package redis: pip install 'llmkit[redis]'."
            raise ConfigurationError(msg)
        self._url = url
        self.prefix = prefix
        self.timeout = timeout
        self._clock = clock
        self._client: Redis | None = None
        self._shared_secret: bytes | None = None
        self._asked_again_at = 0.0
        self._opening = threading.Lock()
        super().__init__(ttl=ttl, stale_if_error=stale_if_error)

    def renew(self) -> None:
        """Take a new lock in a forked child. (The connections look after themselves.)"""
        super().renew()
        self._opening = threading.Lock()

    # -- entries

    def _load(self, key: str) -> tuple[bytes, float] | None:
        with self._asked() as client:
            found: Any = client.get(self.prefix + key)
        if found is None:
            return None
        created, checksum = _HEAD.unpack_from(found) if len(found) >= _HEAD.size else (0.0, b"")
        payload = bytes(found[_HEAD.size :])
        if checksum != _checksum(key, created, payload):
            self._drop(key)
            msg = "an entry does not match its checksum"
            raise CacheFault(msg)
        age = self._clock() - created
        return payload, max(age, 0.0) if age >= -SKEW else age

    def _save(self, key: str, payload: bytes) -> None:
        created = self._clock()
        entry = _HEAD.pack(created, _checksum(key, created, payload)) + payload
        lasts = None if self.keeps_for is None else max(1, int(self.keeps_for * 1000))
        with self._asked() as client:
            client.set(self.prefix + key, entry, px=lasts)

    def _drop(self, key: str) -> None:
        with self._asked() as client:
            client.delete(self.prefix + key)

    def _drop_all(self) -> None:
        with self._asked() as client:
            names: list[Any] = []
            for name in client.scan_iter(match=f"{_literal(self.prefix)}*", count=CLEARED_AT_ONCE):
                names.append(name)
                if len(names) == CLEARED_AT_ONCE:
                    client.delete(*names)
                    names = []
            if names:
                client.delete(*names)
        self._shared_secret = None

    def _secret(self) -> bytes:
        if self._shared_secret is None:
            name = f"{self.prefix}secret"
            with self._asked() as client:
                client.set(name, secrets.token_bytes(32), nx=True)
                found: Any = client.get(name)
            if not isinstance(found, bytes) or len(found) != 32:
                msg = f"{name!r} is not what this cache put there"
                raise CacheFault(msg)
            self._shared_secret = found
        return self._shared_secret

    # -- Redis

    @contextlib.contextmanager
    def _asked(self) -> Iterator[Redis]:
        """Lend the client; what goes wrong with it is a ``CacheFault``, after which it is left alone for a while."""
        if time.monotonic() < self._asked_again_at:
            msg = "Redis failed a moment ago"
            raise CacheFault(msg)
        from redis.exceptions import RedisError

        try:
            yield self._connected()
        except (RedisError, OSError, ValueError) as error:
            self._asked_again_at = time.monotonic() + REST
            fault = CacheFault(clean(str(error), self._passwords(), limit=200))
        else:
            return
        raise fault

    def _connected(self) -> Redis:
        with self._opening:
            if self._client is None:
                from redis import Redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                self._client = Redis.from_url(
                    self._url,
                    socket_timeout=self.timeout,
                    socket_connect_timeout=self.timeout,
                    # Nothing below us tries again: a miss is cheaper than a wait.
                    retry=Retry(NoBackoff(), 0),
                )
            return self._client

    def _passwords(self) -> tuple[str, ...]:
        parts = urlsplit(self._url)
        return (unquote(parts.password), parts.password) if parts.password else ()

    def close(self) -> None:
        """Close the connections; the next use opens others. Idempotent."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _configuration(self) -> dict[str, Any]:
        if holds_password(self._url):
            msg = "This cache's url holds a password, which is not pickled: let the other side make its own."
            raise ConfigurationError(msg)
        return {**super()._configuration(), "url": self._url, "prefix": self.prefix, "timeout": self.timeout}

    def __repr__(self) -> str:
        parts = urlsplit(self._url)
        where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return f"RedisCache({where!r})"


def _checksum(key: str, created: float, payload: bytes) -> bytes:
    return hashlib.sha256(b"%s %r %s" % (key.encode(), created, payload)).digest()[:16]


def _literal(prefix: str) -> str:
    """Return *prefix* as a pattern that matches itself only."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\-" else letter for letter in prefix)
