"""Names that nobody knows."""

from __future__ import annotations

import pytest

from llmkit.errors import ConfigurationError
from llmkit.spelling import closest, nearest, refuse_unknown


def test_the_nearest_name_is_told_as_it_is_written() -> None:
    """Whatever the case of either."""
    assert " Did you mean 'Timeout'?" == nearest("TMEOUT", ["retry", "Timeout"])
    assert "" == nearest("colour", ["retry", "timeout"])


def test_how_alike_names_must_be_can_be_said() -> None:
    """For a hint less is enough than for a refusal."""
    assert "retry" == closest("retires", ["retry", "timeout"])
    assert closest("retires", ["retry", "timeout"], alike=0.8) is None


def test_a_known_name_passes() -> None:
    """Without a word."""
    refuse_unknown(["timeout"], ["timeout", "retry"])


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("tmeout", "", "tmeout is not known. Did you mean 'timeout'?"),
        ("tmeout", "providers.prod", "providers.prod.tmeout is not known. Did you mean 'timeout'?"),
        ("colour", "a", "a.colour is not known. There are retry, timeout."),
    ],
)
def test_an_unknown_name_is_told_with_its_path_and_its_cure(name: str, path: str, text: str) -> None:
    """The nearest, or all where none is near."""
    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown([name], ["timeout", "retry"], path=path)

    assert text == caught.value.message
