"""How many calls keep their pace, asked without waiting."""

from __future__ import annotations

import pytest

from llmkit import (
    AllProvidersFailedError,
    CircuitOpenError,
    CompletionResponse,
    InternalError,
    LLMKitError,
    NoAvailableKeyError,
    QuotaExceededError,
    RateLimitError,
    RateLimitTimeoutError,
    RetryConfig,
    assistant,
    deadline,
)
from llmkit.models.ledger import Attempt
from llmkit.resilience.pacing import GLANCE, ROUNDS, Tempo

PATIENCE = 210.0  # seconds, of clients whose calls are tried again after 1, 2 and 4 seconds
YES = CompletionResponse(message=assistant("yes"))
REFUSED_FIRST = CompletionResponse(
    message=assistant("yes"),
    attempts=tuple(
        Attempt(number=number, provider="p", model="m", endpoint="e", error=error) for number, error in ((1, "rate_limit"), (2, None))
    ),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tempo(clock: Clock) -> Tempo:
    return Tempo(RetryConfig(), clock=clock)


def answer(tempo: Tempo, count: int = 1) -> None:
    for _ in range(count):
        tempo.turn().answered(YES)


def test_nobody_waits_as_long_as_nobody_is_refused(tempo: Tempo) -> None:
    """However many there are."""
    turns = [tempo.turn() for _ in range(100)]

    assert {0.0} == {turn.wait() for turn in turns}


def test_after_a_refusal_all_wait_and_then_come_one_after_the_other(tempo: Tempo, clock: Clock) -> None:
    """As fast as answers had come, and somewhat slower."""
    refused, other = tempo.turn(), tempo.turn()
    assert 0.0 == refused.wait()
    clock.now += 1.0
    answer(tempo, 10)

    again = refused.again(RateLimitError("slow down", retry_after=2.0))

    assert again
    waits = [turn.wait() for turn in (refused, other, tempo.turn())]
    gap = waits[1] - waits[0]
    assert (2.0, 0.1) == (pytest.approx(waits[0]), pytest.approx(gap * 0.7, rel=0.01))
    assert gap == pytest.approx(waits[2] - waits[1])
    clock.now += 2.0
    assert 0.0 == refused.wait()
    assert gap == pytest.approx(other.wait())


def test_those_that_were_under_way_do_not_slow_it_down_once_more(tempo: Tempo, clock: Clock) -> None:
    """They are asked again all the same, and what they were told counts."""
    turns = [tempo.turn() for _ in range(10)]
    assert {0.0} == {turn.wait() for turn in turns}
    clock.now += 1.0
    answer(tempo, 10)

    again = [turn.again(RateLimitError("slow down", retry_after=1.0 + number)) for number, turn in enumerate(turns)]

    assert all(again)
    waits = sorted(turn.wait() for turn in turns)
    assert 10.0 == pytest.approx(waits[0])
    assert 9 * 0.1 / 0.7 == pytest.approx(waits[-1] - waits[0], rel=0.01)


def test_answers_make_it_faster_again(tempo: Tempo, clock: Clock) -> None:
    """Until it is as fast as ever."""
    clock.now += 1.0
    answer(tempo, 10)
    refused = tempo.turn()
    assert 0.0 == refused.wait()
    assert refused.again(RateLimitError("slow down"))

    for _ in range(5000):
        clock.now += 60.0
        answer(tempo)

    assert [0.0] * 3 == [tempo.turn().wait() for _ in range(3)]


def test_an_answer_that_was_refused_first_slows_it_down(tempo: Tempo, clock: Clock) -> None:
    """But holds nobody up."""
    turn = tempo.turn()
    assert 0.0 == turn.wait()
    clock.now += 1.0

    turn.answered(REFUSED_FIRST)

    first, second = tempo.turn().wait(), tempo.turn().wait()
    assert 0.0 == first
    assert second > 0.0


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimitTimeoutError("full", retry_after=900.0), GLANCE),
        (RateLimitTimeoutError("full", retry_after=0.2), 0.2),
        (NoAvailableKeyError("resting", retry_after=30.0), GLANCE),
        (CircuitOpenError("open", retry_after=30.0), GLANCE),
        (AllProvidersFailedError("none", [InternalError("down"), RateLimitTimeoutError("full", retry_after=0.1)]), 0.1),
        (AllProvidersFailedError("none", [CircuitOpenError("open", retry_after=0.1), InternalError("down")]), 0.1),
    ],
    ids=repr,
)
def test_what_was_not_sent_is_tried_again_soon(tempo: Tempo, clock: Clock, error: LLMKitError, seconds: float) -> None:
    """To look costs nothing; nobody else waits for it."""
    answer(tempo)
    turn, other = tempo.turn(), tempo.turn()

    again = turn.again(error)

    assert again
    assert (seconds, 0.0) == (pytest.approx(turn.wait()), other.wait())
    clock.now += seconds
    assert 0.0 == turn.wait()


@pytest.mark.parametrize(
    "error",
    [
        InternalError("down"),
        QuotaExceededError("empty"),
        NoAvailableKeyError("none"),
        RateLimitTimeoutError("never", retryable=False),
        RateLimitError("in an hour", retry_after=61.0),
        NoAvailableKeyError("resting", retry_after=PATIENCE + 1),
        AllProvidersFailedError("none", [InternalError("down")]),
    ],
    ids=repr,
)
def test_what_will_not_pass_soon_is_the_items_error(tempo: Tempo, error: LLMKitError) -> None:
    """And slows nobody down."""
    answer(tempo)

    assert not tempo.turn().again(error)
    assert 0.0 == tempo.turn().wait()


@pytest.mark.parametrize("error", [RateLimitError("slow down", retry_after=1.0), CircuitOpenError("open", retry_after=1.0)], ids=repr)
def test_patience_ends_when_nothing_is_answered_any_more(tempo: Tempo, clock: Clock, error: LLMKitError) -> None:
    """Then errors come as they are, until there is an answer again."""
    answer(tempo)
    clock.now += 2 * PATIENCE

    assert tempo.turn().again(error)
    clock.now += PATIENCE - 1
    assert tempo.turn().again(error)
    clock.now += 1
    assert not tempo.turn().again(error)
    answer(tempo)
    assert tempo.turn().again(error)


def test_an_endpoint_that_never_answered_is_not_waited_for(tempo: Tempo) -> None:
    """It is not there, most likely, or the account has no leave at all: each call has had its own retries."""
    assert not tempo.turn().again(CircuitOpenError("open", retry_after=1.0))
    assert not tempo.turn().again(RateLimitError("slow down", retry_after=1.0))


def test_an_item_that_alone_is_refused_again_and_again_has_its_error(tempo: Tempo) -> None:
    """However many others are answered meanwhile."""
    turn = tempo.turn()

    found = []
    for _ in range(ROUNDS):
        answer(tempo)
        found.append(turn.again(RateLimitError("slow down", retry_after=1.0)))

    assert [*[True] * (ROUNDS - 1), False] == found


def test_whose_calls_wait_for_less_is_less_patient(clock: Clock) -> None:
    """The waits of a call's own retries are the measure, also of what is held up without a hint."""
    tempo = Tempo(RetryConfig(max_retries=2, base_delay=0.01), clock=clock)
    answer(tempo)
    turn = tempo.turn()

    assert turn.again(RateLimitError("slow down"))

    assert 0.01 == pytest.approx(turn.wait())
    clock.now += 1.0
    assert not turn.again(RateLimitError("slow down"))


def test_without_retries_nothing_is_sent_twice(clock: Clock) -> None:
    """What was not sent may go all the same."""
    tempo = Tempo(None, clock=clock)
    answer(tempo)

    assert not tempo.turn().again(RateLimitError("slow down", retry_after=1.0))
    assert tempo.turn().again(RateLimitTimeoutError("full", retry_after=1.0))


def test_where_calls_share_a_deadline_a_limit_of_ones_own_is_final(clock: Clock) -> None:
    """It has reckoned with what is left of that."""
    tempo = Tempo(RetryConfig(), one_deadline=True, clock=clock)
    answer(tempo)

    assert not tempo.turn().again(RateLimitTimeoutError("full", retry_after=1.0))
    assert tempo.turn().again(RateLimitError("slow down", retry_after=1.0))


def test_no_wait_goes_beyond_a_deadline_around_the_batch(tempo: Tempo) -> None:
    """The error is told at once."""
    with deadline(0.2):
        assert not tempo.turn().again(RateLimitTimeoutError("full", retry_after=0.9))
        assert tempo.turn().again(RateLimitTimeoutError("full", retry_after=0.1))
