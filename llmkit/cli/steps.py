"""
The steps of ``llmkit demo``.

Rule 1: the first function of each step is a user's code. Its lines are shown, and they are the lines that run.
Rule 2: the second tells the fake provider what to do, which ``setting`` says in words; the third checks each claim against what that
        provider saw: how many requests, with which keys, and when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from attrs import evolve

from llmkit.cli.claims import Answers, Claim, Sight, Step, is_equal, is_within
from llmkit.models.response import CompletionResponse
from llmkit.testing import FakeServer, RecordedRequest, Reply

__all__ = ["STEPS"]

LATE = 0.2  # seconds: a call ends at most this long after its deadline
EARLY = 0.05  # seconds, for clocks
ANSWER_TIME = 0.5  # seconds that the provider takes where calls are to overlap

STORY = ("Once", " upon", " a", " time", " a", " request", " left", " home", " and", " came", " back", " with", " an", " answer.")


# A completion.


def completion(url: str) -> Answers:
    from llmkit import Client

    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")
    reply = client.complete("Say hi")
    print(reply.text)
    print(reply.usage.total_tokens, "tokens, request", reply.request_id)
    return [reply]


def script_completion(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply("Hi! What can I do for you?", request_id="req_demo"))


def check_completion(sight: Sight) -> Iterator[Claim]:
    reply = sight.answers[0]
    yield is_equal("one request reached the server", 1, len(sight.requests))
    yield is_equal("it carried the key and the prompt", ("sk-demo", "Say hi"), (sight.keys[0], _last_message(sight.requests[0])))
    yield is_equal("text and request id are the server's", ("Hi! What can I do for you?", "req_demo"), (reply.text, reply.request_id))
    yield is_equal("the tokens are those that the server counted", _counted([reply]), reply.usage.total_tokens)


# A stream.


def stream(url: str) -> Answers:
    from llmkit import Client

    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")
    story = client.stream("Tell me a story")
    for chunk in story:
        print(chunk.text, end="", flush=True)
    return [story.response]


def script_stream(server: FakeServer, pace: float) -> None:
    server.enqueue(Reply(chunks=STORY, between=pace))


def check_stream(sight: Sight) -> Iterator[Claim]:
    yield from _check_story(sight.writes, sight.answers[0], sight.pace)
    yield is_equal("the answer ended as it should", "stop", str(sight.answers[0].finish_reason))


# A tool call.


def tool_call(url: str) -> Answers:
    from llmkit import Client, tool_result, user

    def get_weather(city: str) -> str:
        """Return the weather in a city."""
        return f"21 degrees and clear in {city}"

    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")
    history = [user("What is the weather in Paris?")]
    reply = client.complete(history, tools=[get_weather])
    call = reply.tool_calls[0]
    print("the model calls", call.name, dict(call.arguments))
    result = tool_result(call, get_weather(**call.arguments))
    history += [reply.message, result]
    final = client.complete(history, tools=[get_weather])
    print(final.text)
    return [reply, final]


def script_tool_call(server: FakeServer, _pace: float) -> None:
    server.enqueue(
        Reply(tool_calls=[("get_weather", {"city": "Paris"})]),
        lambda request: Reply(f"It is {_last_message(request)}."),
    )


def check_tool_call(sight: Sight) -> Iterator[Claim]:
    offered = sight.requests[0].json["tools"][0]["function"]
    schema = (offered["name"], offered["parameters"]["required"])
    yield is_equal("the function was offered with its schema", ("get_weather", ["city"]), schema)
    yield is_equal("its result went back to the model", "21 degrees and clear in Paris", _last_message(sight.requests[-1]))
    yield is_equal("and the answer speaks of it", "It is 21 degrees and clear in Paris.", sight.answers[-1].text)


# A 429.


def another_key(url: str) -> Answers:
    from llmkit import Client

    keys = ["sk-first", "sk-second"]
    client = Client("openai/gpt-4o-mini", base_url=url, api_keys=keys)
    reply = client.complete("Say hi")
    for attempt in reply.attempts:
        print(attempt.key, "got", attempt.status)
    return [reply]


def script_another_key(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply.error(429, retry_after=30), key="sk-first")


def check_another_key(sight: Sight) -> Iterator[Claim]:
    yield is_equal("the server was asked with one key, then the other", ["sk-first", "sk-second"], sight.keys)
    yield is_equal("the ledger says what became of both", [[429, 200]], sight.statuses)
    yield is_within("nobody waited for the first key", 0.0, sight.seconds, 2.0)
    yield is_equal("no key was printed", False, "sk-" in sight.printed)


# A 503.


def backoff(url: str) -> Answers:
    from llmkit import Client, RetryConfig

    patient = RetryConfig(base_delay=0.2, jitter=False)
    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo",
                    retry=patient)  # fmt: skip
    reply = client.complete("Say hi")
    for attempt in reply.attempts:
        print(f"waited {attempt.wait:.1f} s, got {attempt.status}")
    return [reply]


def script_backoff(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply.error(503), Reply.error(503))


def check_backoff(sight: Sight) -> Iterator[Claim]:
    moments = [request.at for request in sight.requests]
    yield is_equal("the server was asked three times", 3, len(moments))
    yield is_equal("the third time it answered", [[503, 503, 200]], sight.statuses)
    for number, ((before, after), wait) in enumerate(zip(pairwise(moments), (0.2, 0.4), strict=True), 2):
        yield is_within(f"before try {number} it was left alone for", wait - EARLY, after - before, wait + 0.5)


# A breaker.


def breaker(url: str) -> Answers:
    import time

    from llmkit import CircuitBreakerConfig, Client, LLMKitError

    careful = CircuitBreakerConfig(failure_threshold=2, reset_time=0.5,
                                   success_threshold=1)  # fmt: skip
    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo",
                    retry=None, circuit_breaker=careful)  # fmt: skip
    for number in range(1, 4):
        try:
            client.complete("Say hi")
        except LLMKitError as error:
            state = client.breaker().state  # type: ignore[union-attr]  # it was not switched off
            print(f"call {number}: {type(error).__name__}, breaker {state}")
    time.sleep(0.6)  # reset_time, and the up to a tenth that is added to it
    reply = client.complete("Are you well again?")
    print(f"call 4: {reply.text}, breaker {client.breaker().state}")  # type: ignore[union-attr]
    return [reply]


def script_breaker(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply.error(500), Reply.error(500), Reply("Yes, thank you"))


def check_breaker(sight: Sight) -> Iterator[Claim]:
    states = [line.rsplit(" ", 1)[-1] for line in sight.printed.splitlines()]
    yield is_equal("two failures opened it, a success closed it", ["closed", "open", "open", "closed"], states)
    yield is_equal("call 3 was refused on the spot", True, "call 3: CircuitOpenError" in sight.printed)
    yield is_equal("and never reached the server, which saw three", 3, len(sight.requests))


# A deadline.


def deadline(url: str) -> Answers:
    from llmkit import Client

    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")
    try:
        print(client.complete("Say hi", deadline=1).text)
    except TimeoutError as error:
        print(error)
    return []


def script_drip(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply(drip=0.1))


def check_deadline(sight: Sight) -> Iterator[Claim]:
    yield is_equal("it ended with a TimeoutError", True, "the deadline passed" in sight.printed)
    yield is_within("which was raised at the deadline", 1 - EARLY, sight.seconds, 1 + LATE)
    yield is_equal("the server was asked once", 1, len(sight.requests))


# The same in asyncio.


def asyncio_calls(url: str) -> Answers:
    import asyncio

    from llmkit_async import AsyncClient

    async def main() -> list[CompletionResponse]:
        async with AsyncClient("openai/gpt-4o-mini", base_url=url,
                               api_keys=["sk-first", "sk-second"]) as client:  # fmt: skip
            calls = [client.complete(f"Say {n}") for n in range(1, 6)]
            return await asyncio.gather(*calls)

    replies = asyncio.run(main())
    for reply in replies:
        print(reply.text, [attempt.status for attempt in reply.attempts])
    return replies


def script_asyncio_calls(server: FakeServer, _pace: float) -> None:
    server.enqueue(Reply.error(429, retry_after=30), key="sk-first")
    server.enqueue(Reply.error(503), key="sk-second")
    server.always(Reply(delay=ANSWER_TIME))


def check_asyncio_calls(sight: Sight) -> Iterator[Claim]:
    first_seen: dict[str, float] = {}
    for request in sight.requests:
        first_seen.setdefault(_last_message(request), request.at)
    spread = max(first_seen.values()) - min(first_seen.values())
    failures = sorted(status for statuses in sight.statuses for status in statuses[:-1] if status is not None)
    yield is_equal("all answers came, in order", [f"You said: Say {n}" for n in range(1, 6)], [reply.text for reply in sight.answers])
    yield is_equal("a 429 and a 503 among them were made good", [429, 503], failures)
    yield is_within("all were under way at once, begun within", 0.0, spread, ANSWER_TIME)


def asyncio_stream(url: str) -> Answers:
    import asyncio

    from llmkit_async import AsyncClient

    async def main() -> CompletionResponse:
        async with AsyncClient("openai/gpt-4o-mini", base_url=url,
                               api_key="sk-demo") as client:  # fmt: skip
            async with client.stream("Tell me a story") as story:
                async for chunk in story:
                    print(chunk.text, end="", flush=True)
            print()
            try:
                print((await client.complete("Say hi", deadline=1)).text)
            except TimeoutError as error:
                print(error)
            return story.response

    reply = asyncio.run(main())
    return [reply]


def script_asyncio_stream(server: FakeServer, pace: float) -> None:
    script_stream(server, pace)
    script_drip(server, pace)


def check_asyncio_stream(sight: Sight) -> Iterator[Claim]:
    yield from _check_story(sight.writes[: _length_of_story(sight.writes)], sight.answers[0], sight.pace)
    ended = next((at for at, text in sight.writes if "the deadline passed" in text), 0.0)
    yield is_within("the call after it was ended at its deadline", 1 - EARLY, ended - sight.requests[-1].at, 1 + LATE)


# The ledger.


def ledger(url: str) -> Answers:
    from llmkit import Client

    client = Client("openai/gpt-4o-mini", base_url=url,
                    api_keys=["sk-first", "sk-second"])  # fmt: skip
    reply = client.complete("Say hi")
    for attempt in reply.attempts:
        print(attempt.number, attempt.key, attempt.status, attempt.request_id,
              f"waited {attempt.wait:.2f} s, took {attempt.elapsed:.3f} s")  # fmt: skip
    return [reply]


def script_ledger(server: FakeServer, _pace: float) -> None:
    server.enqueue(evolve(Reply.error(429, retry_after=30), request_id="req_1"), key="sk-first")
    server.enqueue(evolve(Reply.error(503, retry_after=0.3), request_id="req_2"), Reply("Hi!", request_id="req_3"), key="sk-second")


def check_ledger(sight: Sight) -> Iterator[Claim]:
    reply = sight.answers[0]
    attempts = reply.attempts
    places = {"sk-first": "key 1", "sk-second": "key 2"}
    known = [places.get(key or "") for key in sight.keys]
    waited = sum(attempt.wait for attempt in attempts)
    yield is_equal("it has each request that the server saw", len(sight.requests), len(attempts))
    told = [(attempt.status, attempt.request_id) for attempt in attempts]
    yield is_equal("with its status and request id", [(429, "req_1"), (503, "req_2"), (200, "req_3")], told)
    yield is_equal("and its key, by place and fingerprint", known, [(attempt.key or "").partition(" (")[0] for attempt in attempts])
    yield is_within("tries and waits make up the call", 0.3, waited + sum(attempt.elapsed for attempt in attempts), reply.elapsed)


# The totals.


def totals(replies: Answers) -> Answers:
    from llmkit import Usage

    usage = sum((reply.usage for reply in replies), Usage())
    seconds = sum(reply.elapsed for reply in replies)
    print(f"{len(replies)} answers in {seconds:.1f} s")
    print(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
    print(f"{usage.total_tokens} tokens in all")
    return []


def check_totals(sight: Sight) -> Iterator[Claim]:
    printed = int(sight.printed.partition(" tokens in all")[0].split()[-1])
    yield is_equal("the tokens are those that the server counted", _counted(sight.replies), printed)
    yield is_equal("and nothing was sent to find that out", 0, len(sight.requests))


# What the checks share.


def _last_message(request: RecordedRequest) -> str:
    return str(request.json["messages"][-1]["content"])


def _counted(replies: Answers) -> int:
    return sum(int(reply.raw["usage"]["total_tokens"]) for reply in replies)


def _check_story(writes: Sequence[tuple[float, str]], reply: CompletionResponse, pace: float) -> Iterator[Claim]:
    pieces = [(at, text) for at, text in writes if text]
    yield is_equal("each token was printed by itself", list(STORY), [text for _, text in pieces])
    # The server pauses before each token: had they been collected first, all would have been printed in one moment.
    yield is_within("from the first to the last, as they were sent", pace * len(STORY) / 2, pieces[-1][0] - pieces[0][0], 10.0)
    yield is_equal("the whole answer is the sum of its pieces", "".join(STORY), reply.text)


def _length_of_story(writes: Sequence[tuple[float, str]]) -> int:
    return next((index for index, (_, text) in enumerate(writes) if text.startswith("\n")), len(writes))


STEPS: tuple[Step, ...] = (
    Step(
        title="A completion",
        shows="a typed answer over real HTTP",
        setting="The provider is a fake one on this machine; the bytes between are real.",
        code=completion,
        script=script_completion,
        check=check_completion,
    ),
    Step(
        title="A stream",
        shows="each token as it arrives",
        setting="The provider pauses after each token.",
        code=stream,
        script=script_stream,
        check=check_stream,
    ),
    Step(
        title="A tool call",
        shows="a function, called by the model",
        setting="The model wants to know the weather, and then speaks of it.",
        code=tool_call,
        script=script_tool_call,
        check=check_tool_call,
    ),
    Step(
        title="A 429",
        shows="answered by another key, at once",
        setting="The provider says to the first key: too many requests, wait 30 s.",
        code=another_key,
        script=script_another_key,
        check=check_another_key,
    ),
    Step(
        title="A 503",
        shows="retried with growing waits",
        setting="The provider is overloaded, twice.",
        code=backoff,
        script=script_backoff,
        check=check_backoff,
    ),
    Step(
        title="A circuit breaker",
        shows="opens, spares the server, recovers",
        setting="The provider fails two times, then it is well again.",
        code=breaker,
        script=script_breaker,
        check=check_breaker,
    ),
    Step(
        title="A deadline",
        shows="holds against a dripping server",
        setting="The provider sends its answer one byte each 0.1 s: no read ever times out.",
        code=deadline,
        script=script_drip,
        check=check_deadline,
    ),
    Step(
        title="Calls in asyncio",
        shows="five at once, a 429 and a 503 too",
        setting=f"The provider takes {ANSWER_TIME} s for each answer, and refuses each key once.",
        code=asyncio_calls,
        script=script_asyncio_calls,
        check=check_asyncio_calls,
        needs="aiohttp",
    ),
    Step(
        title="A stream in asyncio",
        shows="and a deadline that holds",
        setting="The provider streams as before, and then drips as before.",
        code=asyncio_stream,
        script=script_asyncio_stream,
        check=check_asyncio_stream,
        needs="aiohttp",
    ),
    Step(
        title="The ledger",
        shows="every attempt, accounted for",
        setting="The provider refuses the first key, fails the second once, then answers.",
        code=ledger,
        script=script_ledger,
        check=check_ledger,
    ),
    Step(
        title="The totals",
        shows="tokens and time of all answers",
        setting="Usage means the same for every provider, and adds up.",
        code=totals,
        check=check_totals,
    ),
)
