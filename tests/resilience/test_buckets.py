from __future__ import annotations

import math

from llmkit.resilience.buckets import Bucket


def filled(capacity: float, rate: float) -> Bucket:
    bucket = Bucket(capacity, rate)
    bucket.refill(1000.0)
    return bucket


def test_it_starts_full_and_fills_continuously() -> None:
    """A second brings the rate, half a second the half of it; the capacity is the bound."""
    bucket = filled(10.0, 4.0)
    bucket.give(-10.0)
    levels = []

    for now in (1000.0, 1000.5, 1001.0, 1100.0):
        bucket.refill(now)
        levels.append(bucket.level)

    assert [0.0, 2.0, 4.0, 10.0] == levels


def test_a_clock_that_goes_back_brings_nothing() -> None:
    """Another thread may come with an earlier moment in hand."""
    bucket = filled(10.0, 1.0)
    bucket.give(-5.0)

    bucket.refill(990.0)
    bucket.refill(1001.0)

    assert 6.0 == bucket.level


def test_a_debt_is_paid_before_anything_can_be_had() -> None:
    """More was used than had been foreseen."""
    bucket = filled(10.0, 2.0)

    bucket.give(-14.0)

    assert (False, 2.5) == (bucket.has(0.0), bucket.wait_for(1.0, 1000.0))


def test_it_never_holds_more_than_its_capacity() -> None:
    """What is given back to a full bucket is gone."""
    bucket = filled(10.0, 2.0)

    bucket.give(5.0)

    assert 10.0 == bucket.level


def test_a_bucket_that_never_fills_is_waited_for_for_ever() -> None:
    """The wait is infinite, and not a division by zero."""
    bucket = filled(10.0, 0.0)
    bucket.give(-10.0)

    bucket.refill(2000.0)

    assert math.inf == bucket.wait_for(1.0, 2000.0)


def test_the_error_of_a_sum_is_no_reason_to_wait() -> None:
    """Ten tenths are one."""
    bucket = filled(1.0, 1.0)
    bucket.give(-1.0)

    for tenth in range(10):
        bucket.refill(1000.0 + (tenth + 1) * 0.1)

    assert (True, 0.0) == (bucket.has(1.0), bucket.wait_for(1.0, 1001.0))


def test_a_drained_bucket_is_held() -> None:
    """Nothing comes back before the hold is over, and then at the usual rate."""
    bucket = filled(10.0, 2.0)

    bucket.drain(1000.0, 3.0)

    assert (0.0, 3.5) == (bucket.level, bucket.wait_for(1.0, 1000.0))
    bucket.refill(1003.5)
    assert 1.0 == bucket.level


def test_a_hold_is_no_longer_than_a_whole_filling() -> None:
    """A reset that lies a day away is not that of a limit of minutes."""
    bucket = filled(10.0, 2.0)

    bucket.drain(1000.0, 86400.0)

    assert 5.5 == bucket.wait_for(1.0, 1000.0)


def test_draining_pays_no_debt() -> None:
    """It takes, and never gives."""
    bucket = filled(10.0, 2.0)
    bucket.give(-15.0)

    bucket.drain(1000.0, 0.0)

    assert -5.0 == bucket.level


def test_a_bucket_that_never_fills_is_held_as_long_as_asked() -> None:
    """There is no filling to compare with."""
    bucket = filled(10.0, 0.0)

    bucket.drain(1000.0, 7.0)

    assert 1007.0 == bucket.at
