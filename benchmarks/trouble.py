"""
A provider in trouble, in a process of its own: ``python -m benchmarks.trouble``.

It prints the origins of its servers. Each line of its standard input is an order in JSON: what share of the requests is to fail
(``{"failing": 0.3}``), or how many a sliding window lets through (``{"limit": 200, "window": 1.0}``); the answer to each is a line with
what was seen since the order before.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

from llmkit.testing import FakeServer, RecordedRequest, Reply

__all__ = ["Trouble", "trouble"]

SERVERS = 2

Make = Callable[[random.Random, bool], Reply]


def _refused(*statuses: int) -> Make:
    return lambda chance, streamed: Reply.error(chance.choice(statuses))


def _throttled(chance: random.Random, streamed: bool) -> Reply:
    return Reply.error(429, message="Slow down.", headers={"retry-after-ms": str(chance.randint(1, 20))})


def _cut(chance: random.Random, streamed: bool) -> Reply:
    return Reply(cut=chance.randrange(1_000 if streamed else 400), reset=chance.random() < 0.5)


def _cut_head(chance: random.Random, streamed: bool) -> Reply:
    return Reply(cut_head=chance.randrange(60))


def _empty(chance: random.Random, streamed: bool) -> Reply:
    return Reply(events=()) if streamed else Reply(raw=b"")


def _error_in_good_reply(chance: random.Random, streamed: bool) -> Reply:
    error = {"error": {"message": "Too busy.", "type": "overloaded_error"}}
    return Reply(events=(error,)) if streamed else Reply(raw=error)


def _silent(chance: random.Random, streamed: bool) -> Reply:
    return Reply(stall_after=1) if streamed else Reply(hang=True)


# What goes wrong, and how often among a hundred failures.
FAILURES: dict[str, tuple[int, Make]] = {
    "refused": (36, _refused(500, 502, 503, 504, 529)),
    "throttled": (20, _throttled),
    "cut": (16, _cut),
    "cut inside its head": (8, _cut_head),
    "reset": (10, lambda chance, streamed: Reply(reset=True)),
    "empty": (4, _empty),
    "an error in a good reply": (4, _error_in_good_reply),
    "no HTTP": (1, lambda chance, streamed: Reply(garbage=b"220 mail.example.com ESMTP\r\n")),
    "silent": (1, _silent),
}

# How good answers travel, among a hundred of them; the others come as they should.
TRAVELS: dict[str, tuple[int, Reply]] = {
    "dripped": (1, Reply(drip=0.0001)),
    "compressed": (5, Reply(content_encoding="gzip")),
    "closed behind": (2, Reply(close=True)),
    "closed while idle": (2, Reply(close_idle=True)),
}


class Troubled:
    """What one server says. Its state is the server's thread's, but for ``order`` and ``told``."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._failing = 0.0
        self._limit: int | None = None
        self._window = 1.0
        self._tells = False
        self._is_down = False
        self._recent: deque[float] = deque()
        self._seen: dict[str, Counter[str]] = {}
        self._arrived: list[tuple[float, str, bool]] = []
        self._clear()

    def _clear(self) -> None:
        self._seen = {"keys": Counter(), "what": Counter()}
        self._arrived = []

    def order(
        self, failing: float = 0.0, limit: int | None = None, window: float = 1.0, tells: bool = False, down: bool = False
    ) -> dict[str, Any]:
        """Go over to other ways; return what was seen before."""
        with self._lock:
            told = {**{name: dict(counts) for name, counts in self._seen.items()}, "arrived": self._arrived}
            self._clear()
            self._failing, self._limit, self._window, self._tells, self._is_down = failing, limit, window, tells, down
            self._recent.clear()
        return told

    def __call__(self, request: RecordedRequest) -> Reply:
        with self._lock:
            self._seen["keys"][request.key or ""] += 1
            if self._is_down:
                return Reply.error(503, message="Down.")
            if self._limit is not None:
                return self._limited(request, self._limit)
            streamed = bool(request.json.get("stream"))
            if self._chance.random() < self._failing:
                what = self._chance.choices([*FAILURES], [weight for weight, _ in FAILURES.values()])[0]
                reply = FAILURES[what][1](self._chance, streamed)
            else:
                what, reply = self._travelling()
            self._seen["what"][what] += 1
            return reply

    def _travelling(self) -> tuple[str, Reply]:
        point = self._chance.random() * 100
        for what, (weight, reply) in TRAVELS.items():
            point -= weight
            if point < 0:
                return what, reply
        return "good", Reply()

    def _limited(self, request: RecordedRequest, limit: int) -> Reply:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - self._window:
            self._recent.popleft()
        is_full = len(self._recent) >= limit
        if not is_full:
            self._recent.append(now)
        self._arrived.append((now, request.json["messages"][-1]["content"], is_full))
        wait = self._recent[0] + self._window - now
        told = {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(limit - len(self._recent)),
            "x-ratelimit-reset-requests": f"{self._recent[-1] + self._window - now:.3f}s",
        }
        if is_full:
            return Reply.error(429, message="Slow down.", headers={"retry-after-ms": f"{wait * 1e3:.0f}", **(told if self._tells else {})})
        return Reply(headers=told if self._tells else {})


class Trouble:
    """The process, from the side of those who ask for trouble."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self.origins: list[str] = json.loads(self._line())

    def order(self, **what: Any) -> list[dict[str, Any]]:
        """Have the servers do *what*; return what each saw before."""
        assert self._child.stdin is not None
        print(json.dumps(what), file=self._child.stdin, flush=True)
        seen: list[dict[str, Any]] = json.loads(self._line())
        return seen

    def urls(self) -> list[str]:
        return [f"{origin}/openai/v1" for origin in self.origins]

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline()


@contextlib.contextmanager
def trouble(seed: int = 0) -> Iterator[Trouble]:
    """Run the servers for the length of a ``with`` block."""
    command = [sys.executable, "-m", "benchmarks.trouble", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield Trouble(child)
        assert child.stdin is not None
        child.stdin.close()


def main() -> None:
    seed = int(sys.argv[1])
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(record=False)) for _ in range(SERVERS)]
        troubled = [Troubled(seed + number) for number in range(SERVERS)]
        for server, script in zip(servers, troubled, strict=True):
            server.always(script)
        print(json.dumps([server.origin for server in servers]), flush=True)
        for line in sys.stdin:
            print(json.dumps([script.order(**json.loads(line)) for script in troubled]), flush=True)


if __name__ == "__main__":
    main()
