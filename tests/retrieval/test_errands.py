"""When a store is asked again, without waiting. (What that looks like from outside is tested on both faces.)"""

from __future__ import annotations

import threading
from typing import Any

import pytest

import llmkit
from llmkit import RetryConfig
from llmkit.cancelling import Cut
from llmkit.resilience.backing import Again
from llmkit.retrieval import RetrieverError
from llmkit.retrieval.errands import Errand, Patience, UntilCut


def errand(retry: RetryConfig | None = RetryConfig(jitter=False), cut: Cut | None = None) -> Errand[None]:  # noqa: B008 - frozen
    return Errand(Patience(retry, chance=lambda: 1.0), "count", "pets", lambda: None, cut)


def waits(one: Errand[None], *faults: Any) -> list[Any]:
    """Return how long it wants to wait after each of *faults*, or what it raises."""
    outcomes = [one.after(fault) for fault in faults]
    return [outcome.wait if isinstance(outcome, Again) else outcome for outcome in outcomes]


def test_waits_grow_until_it_is_enough() -> None:
    """As the policy says; the last failure is raised as it is."""
    faults = [RetrieverError(str(number), kind="server") for number in range(4)]

    assert [1.0, 2.0, 4.0, faults[3]] == waits(errand(), *faults)
    assert 4 == faults[3].metadata["tries"]


def test_a_hint_is_kept_to() -> None:
    """Up to the cap."""
    faults = [RetrieverError(kind="rate_limit", retry_after=seconds) for seconds in (7.0, 61.0)]

    assert [7.0, faults[1]] == waits(errand(), *faults)


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        (ConnectionRefusedError("no"), "connection_lost", True),
        (TimeoutError("slow"), "timeout", True),
        (OSError(28, "No space left on device"), "store", False),
    ],
)
def test_an_error_of_the_system_is_ours(fault: OSError, kind: str, retryable: bool) -> None:
    """With what it said, and whether it may pass."""
    error = errand(None).after(fault)

    assert isinstance(error, RetrieverError)
    assert (kind, retryable, "pets") == (error.kind, error.retryable, error.collection)
    assert f"The store failed to count: {type(fault).__name__}: " in error.message


def test_the_quota_is_of_all_errands_together() -> None:
    """And comes back with successes."""
    patience = Patience(RetryConfig(jitter=False))
    fault = RetrieverError(kind="server")
    for _ in range(100):
        assert isinstance(Errand(patience, "count", "pets", lambda: None).after(fault), Again)

    spent = Errand(patience, "count", "pets", lambda: None).after(fault)
    for _ in range(5):
        Errand(patience, "count", "pets", lambda: None).end()

    assert spent is fault
    assert fault.retry_quota_exhausted
    assert isinstance(Errand(patience, "count", "pets", lambda: None).after(fault), Again)


def test_a_deadline_leaves_no_room_for_a_wait() -> None:
    """The failure is raised then, not the deadline."""
    fault = RetrieverError(kind="server", retry_after=9.0)

    with llmkit.deadline(5):
        assert [fault] == waits(errand(), fault)
    with llmkit.deadline(50):
        assert [9.0] == waits(errand(), fault)
    with llmkit.deadline(10):  # jitter would make it 11.25
        assert [9.0] == waits(errand(RetryConfig()), fault)


def test_who_is_cut_off_gives_up() -> None:
    """With its own failure: at once, or when it would begin again."""
    cut = Cut()
    one = errand(cut=cut)
    fault = RetrieverError(kind="server")
    order = one.after(fault)

    cut.now()

    assert isinstance(order, Again)
    with pytest.raises(RetrieverError) as caught:
        one.begin()
    assert caught.value is fault
    assert [fault] == waits(errand(cut=cut), fault)
    errand(cut=cut).begin()  # who has not failed may finish


def test_a_cut_ends_a_wait() -> None:
    """Also one that was made before it began."""
    cut = Cut()
    turn, woken = UntilCut(cut), threading.Event()

    turn.on_grant(woken.set)
    before = (turn.delay(), woken.is_set())
    cut.now()
    late = threading.Event()
    turn.on_grant(late.set)

    assert (None, False) == before
    assert (0.0, True, True) == (turn.delay(), woken.is_set(), late.is_set())
