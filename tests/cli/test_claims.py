"""Claims: what was expected, what was seen."""

from __future__ import annotations

from llmkit.cli.claims import is_equal, is_within


def test_a_claim_tells_what_was_expected_and_seen() -> None:
    """In words, for whoever reads that it does not hold."""
    claim = is_equal("so many", 2, 1)

    assert ("so many", "2", "1", False) == (claim.text, claim.expected, claim.seen, claim.holds)
    assert is_equal("so many", 2, 2).holds


def test_claims_about_time_have_two_bounds() -> None:
    """Too early is as wrong as too late."""
    early, fit, late = (is_within("it took", 1.0, seen, 1.2) for seen in (0.9, 1.1, 1.5))

    assert [False, True, False] == [early.holds, fit.holds, late.holds]
    assert ("1.00 to 1.20 s", "1.50 s", "it took: 1.50 s") == (late.expected, late.seen, late.text)
