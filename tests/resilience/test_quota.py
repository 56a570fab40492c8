from __future__ import annotations

import threading

import pytest

from llmkit.errors import ConfigurationError
from llmkit.resilience.quota import RetryQuota


def test_retries_cost_and_time_outs_cost_more() -> None:
    """The two prices are those of botocore."""
    quota = RetryQuota()

    assert (5, 10, 485) == (quota.spend(False), quota.spend(True), quota.left)


def test_what_cannot_be_paid_is_refused_and_costs_nothing() -> None:
    """A price is paid in full or not at all."""
    quota = RetryQuota(capacity=9)

    assert (None, 5, None, 4) == (quota.spend(True), quota.spend(False), quota.spend(False), quota.left)


def test_a_retried_success_gives_back_what_its_retry_cost() -> None:
    """A retry that helped was no waste."""
    quota = RetryQuota()
    cost = quota.spend(True)

    quota.earn(cost)

    assert 500 == quota.left


def test_a_plain_success_earns_a_little() -> None:
    """An endpoint that is well again refills its budget slowly."""
    quota = RetryQuota()
    quota.spend(False)

    quota.earn(None)

    assert 496 == quota.left


def test_it_never_holds_more_than_its_capacity() -> None:
    """Long health saves nothing up."""
    quota = RetryQuota()
    quota.earn(None)
    quota.spend(False)

    quota.earn(100)

    assert 500 == quota.left


def test_a_budget_of_nothing_allows_no_retry() -> None:
    """The way to switch retries off by their budget."""
    quota = RetryQuota(capacity=0)

    assert quota.spend(False) is None


@pytest.mark.parametrize("field", ["capacity", "retry_cost", "timeout_cost", "income"])
def test_a_bad_number_names_its_field(field: str) -> None:
    """A negative price would be a gift."""
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        RetryQuota(**{field: -1})


def test_threads_never_overspend() -> None:
    """What is spent is exactly what is gone."""
    quota = RetryQuota(capacity=500)
    paid: list[int] = []

    def spend() -> None:
        for _ in range(20):
            cost = quota.spend(False)
            if cost is not None:
                paid.append(cost)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (500, 0) == (sum(paid), quota.left)


def test_a_renewed_quota_does_not_wait_for_the_old_lock() -> None:
    """In a forked child the thread that held it is not there."""
    quota = RetryQuota()
    quota._lock.acquire()

    quota.renew()

    assert 5 == quota.spend(False)


def test_its_repr_shows_what_is_left() -> None:
    """For whoever debugs an outage."""
    quota = RetryQuota(capacity=10)
    quota.spend(False)

    assert "RetryQuota(5 of 10 left)" == repr(quota)
