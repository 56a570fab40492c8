"""The cases: what a user does, done by llmkit, by the bare library below it, and by the openai package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import openai
import requests

from benchmarks.measure import Result, compare, compare_processes
from llmkit import Client
from llmkit_async import AsyncClient

__all__ = ["async_calls", "fresh_process", "import_time", "streams", "streams_async", "sync_calls"]

KEY = "sk-benchmark-0123456789"
MODEL = "gpt-4o-mini"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Say hi"}]}
HEADERS = {"Authorization": f"Bearer {KEY}"}


def import_time(rounds: int) -> list[Result]:
    programs = {
        "llmkit": "import llmkit",
        "llmkit.Client": "from llmkit import Client",
        "requests": "import requests",
        "openai": "import openai",
    }
    return compare_processes("import", programs, reference="requests", rounds=rounds, limit=0.6)


def fresh_process(base: str, rounds: int) -> list[Result]:
    programs = {
        "llmkit": f"from llmkit import Client; Client('openai/{MODEL}', base_url={base!r}, api_key={KEY!r}).complete('Say hi').text",
        "requests": f"import requests; requests.Session().post({base!r} + '/chat/completions', json={BODY!r}, headers={HEADERS!r}).json()",
        "openai": (
            f"import openai; openai.OpenAI(base_url={base!r}, api_key={KEY!r}).chat.completions.create(**{BODY!r}).choices[0].message"
        ),
    }
    return compare_processes("fresh process to first answer", programs, reference="requests", rounds=rounds, limit=1.25)


def sync_calls(base: str, rounds: int) -> list[Result]:
    session = requests.Session()
    session.headers.update(HEADERS)
    client = Client(f"openai/{MODEL}", base_url=base, api_key=KEY)
    peer = openai.OpenAI(base_url=base, api_key=KEY)

    def ours(n: int) -> None:
        for _ in range(n):
            client.complete("Say hi").text  # noqa: B018 - what a user does with it

    def bare(n: int) -> None:
        for _ in range(n):
            session.post(f"{base}/chat/completions", json=BODY).json()

    def theirs(n: int) -> None:
        for _ in range(n):
            peer.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Say hi"}])

    contestants = {"llmkit": ours, "requests": bare, "openai": theirs}
    return [compare("complete()", contestants, reference="requests", times=300, rounds=rounds, limit=0.75)]


def streams(base: str, rounds: int) -> list[Result]:
    session = requests.Session()
    session.headers.update(HEADERS)
    client = Client(f"openai/{MODEL}", base_url=base, api_key=KEY)
    peer = openai.OpenAI(base_url=base, api_key=KEY)

    def ours(model: str) -> int:
        return sum(1 for chunk in client.stream("Say hi", model=model) if chunk.text)

    def bare(model: str) -> int:
        body = {**BODY, "model": model, "stream": True}
        with session.post(f"{base}/chat/completions", json=body, stream=True) as reply:
            return sum(1 for _ in _lines(reply.iter_lines()))

    def theirs(model: str) -> int:
        stream = peer.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hi"}], stream=True)
        return sum(1 for chunk in stream if chunk.choices)

    results = []
    for length in (100, 1_000, 10_000):
        works = {"llmkit": ours, "requests": bare, "openai": theirs}
        contestants = {key: _streaming(work, f"fake-stream-{length}", length) for key, work in works.items()}
        name = f"streamed chunk, of {length:,}"
        results.append(compare(name, contestants, reference="requests", times=max(length, 2_000), rounds=rounds, limit=1.0))
    return results


def _streaming(work: Callable[[str], int], model: str, length: int) -> Callable[[int], None]:
    def run(n: int) -> None:
        for _ in range(max(n // length, 1)):
            assert work(model) >= length

    return run


def _lines(lines: Iterator[bytes]) -> Iterator[object]:
    for line in lines:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def async_calls(base: str, rounds: int) -> list[Result]:
    with asyncio.Runner() as runner:  # the benchmarks run on 3.11 and later
        return [_at(runner, base, in_flight, rounds) for in_flight in (1, 64, 512)]


def _at(runner: asyncio.Runner, base: str, in_flight: int, rounds: int) -> Result:
    async def made() -> tuple[aiohttp.ClientSession, AsyncClient, openai.AsyncOpenAI]:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight), headers=HEADERS)
        client = AsyncClient(f"openai/{MODEL}", base_url=base, api_key=KEY, max_connections=in_flight)
        return session, client, openai.AsyncOpenAI(base_url=base, api_key=KEY)

    session, client, peer = runner.run(made())

    async def ours() -> None:
        (await client.complete("Say hi")).text  # noqa: B018 - what a user does with it

    async def bare() -> None:
        async with session.post(f"{base}/chat/completions", json=BODY) as reply:
            await reply.json()

    async def theirs() -> None:
        await peer.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Say hi"}])

    def all_of(work: Callable[[], Awaitable[None]]) -> Callable[[int], None]:
        async def worker(n: int) -> None:
            for _ in range(n):
                await work()

        async def together(n: int) -> None:
            await asyncio.gather(*(worker(max(n // in_flight, 1)) for _ in range(in_flight)))

        return lambda n: runner.run(together(n))

    contestants = {"llmkit": all_of(ours), "aiohttp": all_of(bare), "openai": all_of(theirs)}
    times = max(512, in_flight * 2)
    result = compare(f"async complete(), {in_flight} in flight", contestants, reference="aiohttp", times=times, rounds=rounds, limit=1.5)

    async def close() -> None:
        await asyncio.gather(session.close(), client.close(), peer.close())

    runner.run(close())
    return result


def streams_async(base: str, rounds: int) -> list[Result]:
    with asyncio.Runner() as runner:

        async def made() -> tuple[aiohttp.ClientSession, AsyncClient]:
            return aiohttp.ClientSession(headers=HEADERS), AsyncClient(f"openai/{MODEL}", base_url=base, api_key=KEY)

        session, client = runner.run(made())

        async def ours(model: str) -> int:
            count = 0
            async for chunk in client.stream("Say hi", model=model):
                count += bool(chunk.text)
            return count

        async def bare(model: str) -> int:
            count = 0
            body = {**BODY, "model": model, "stream": True}
            async with session.post(f"{base}/chat/completions", json=body) as reply:
                async for line in reply.content:
                    if line.startswith(b"data: {"):
                        json.loads(line[6:])
                        count += 1
            return count

        results = []
        for length in (1_000, 10_000):
            model = f"fake-stream-{length}"
            contestants = {
                "llmkit": _streaming(lambda model: runner.run(ours(model)), model, length),
                "aiohttp": _streaming(lambda model: runner.run(bare(model)), model, length),
            }
            name = f"async streamed chunk, of {length:,}"
            results.append(compare(name, contestants, reference="aiohttp", times=max(length, 2_000), rounds=rounds, limit=1.0))

        async def close() -> None:
            await asyncio.gather(session.close(), client.close())

        runner.run(close())
        return results
