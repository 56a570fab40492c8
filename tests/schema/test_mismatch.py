"""What is said of a value that is not of its type."""

from __future__ import annotations

from llmkit.schema.mismatch import Mismatch, expected, merged, shown


def test_each_problem_is_told_with_its_path() -> None:
    """One of the value itself needs no path."""
    assert "wrong" == str(Mismatch(("", "wrong")))
    assert ".a: wrong; .b[0]: missing" == str(Mismatch((".a", "wrong"), (".b[0]", "missing")))


def test_a_path_grows_on_the_way_up() -> None:
    """Each who passes the error on puts the own step before it."""
    problem = Mismatch(("", "wrong"), (".a", "missing"))

    assert "$.b[3]: wrong; $.b[3].a: missing" == str(problem.below("[3]").below(".b").below("$"))


def test_many_problems_are_cut() -> None:
    """The first five are enough to see what is wrong; all of them are on the error."""
    problem = Mismatch(*((f"[{index}]", "wrong") for index in range(1000)))

    assert str(problem).endswith("[4]: wrong (and 995 more)")
    assert 1000 == len(problem.problems)


def test_several_errors_become_one() -> None:
    """Of what caused them, the first is kept, on the way up as well."""
    bug = RuntimeError("not today")

    problem = merged([Mismatch(("", "a")), Mismatch(("", "b"), cause=bug), Mismatch(("", "c"), cause=ValueError())]).below("$")

    assert "$: a; $: b; $: c" == str(problem)
    assert bug is problem.__cause__


def test_an_expectation_shows_what_came_instead() -> None:
    """As JSON, and never more than a line of it."""
    assert 'expected an integer, got "ä"' == str(expected("an integer", "ä"))
    assert "[true, null]" == shown([True, None])
    assert 60 == len(shown("x" * 1000))
    assert shown("x" * 1000).endswith("...")
