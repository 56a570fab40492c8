"""What the tests of the policies share: a clock that goes when it is told to."""

from __future__ import annotations

import pytest


class FakeClock:
    """Seconds since an arbitrary moment."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    """Each test has a clock of its own."""
    return FakeClock()
