"""What is armed is ended once, also when the end came first."""

from __future__ import annotations

import concurrent.futures

from llmkit.cancelling import Cut, cancelled


def test_what_is_armed_is_ended() -> None:
    """Once."""
    ended: list[str] = []
    cut = Cut()
    cut.arm(lambda: ended.append("read"))

    cut.now()
    cut.now()

    assert ["read"] == ended


def test_what_is_armed_afterwards_ends_at_once() -> None:
    """No moment between two steps is missed."""
    ended: list[str] = []
    cut = Cut()
    cut.now()

    cut.arm(lambda: ended.append("pause"))

    assert ["pause"] == ended


def test_what_was_armed_before_is_let_be() -> None:
    """It is over."""
    ended: list[str] = []
    cut = Cut()
    cut.arm(lambda: ended.append("first"))
    cut.arm(lambda: ended.append("second"))

    cut.now()

    assert ["second"] == ended


def test_disarmed_nothing_is_ended() -> None:
    """But it is known that it was cut."""
    ended: list[str] = []
    cut = Cut()
    cut.arm(lambda: ended.append("read"))
    cut.arm(None)

    cut.now()

    assert [] == ended
    assert cut.is_made


def test_a_thread_is_cancelled_with_the_native_exception() -> None:
    """Which no handler of ours catches."""
    assert isinstance(cancelled(), concurrent.futures.CancelledError)
