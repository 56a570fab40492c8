"""Which of several ways to show who one is counts."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth.tokens import GivenToken
from llmkit.errors import ConfigurationError
from llmkit.providers import ROWS, Means, find_provider
from llmkit.providers.access import anthropic_access
from llmkit.settings import SECRET_OPTIONS

TOKEN = {"token": "canary"}


def means(given: dict[str, Any] | None = None, found: dict[str, Any] | None = None, *, keyed: bool = False, at_hand: bool = False) -> Means:
    given = given or {}
    return Means(options={**(found or {}), **given}, given=frozenset(given), keyed=keyed, key_at_hand=at_hand)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (means(), None),
        (means(keyed=True), None),
        (means(found=TOKEN, at_hand=True), None),
        (means(found=TOKEN, keyed=True), None),
        (means(found=TOKEN), GivenToken),
        (means(TOKEN, at_hand=True), GivenToken),
        (means({"token": lambda: "canary"}), GivenToken),
    ],
)
def test_anthropics_token_stands_in_for_a_key(said: Means, kind: type | None) -> None:
    """A given one counts before any key of the environment, one of the environment after it."""
    options, auth = anthropic_access(said)

    assert (type(None) if kind is None else kind) is type(auth)
    assert {} == options


@pytest.mark.parametrize(
    ("access", "given"),
    [
        (anthropic_access, TOKEN),
    ],
)
def test_a_key_and_another_way_contradict_each_other(access: Any, given: dict[str, str]) -> None:
    """It would be a guess which of them counts; the secret is not shown."""
    with pytest.raises(ConfigurationError, match="not both") as raised:
        access(means(given, keyed=True))

    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(("name", "access"), [("anthropic", anthropic_access)])
def test_the_rows_leave_the_choice_to_it(name: str, access: Any) -> None:
    """So that clients come here."""
    assert access is find_provider(name).choose_access


def test_every_secret_option_is_known_for_one() -> None:
    """A pickle leaves them out by name."""
    named = {
        name for row in ROWS for name, option in row.options.items() if set(name.split("_")) & {"token", "secret", "key", "passphrase"}
    }

    assert named - {"token_type", "private_key_path"} <= SECRET_OPTIONS


def test_means_do_not_show_secrets() -> None:
    """Neither in a repr."""
    assert "canary" not in repr(means(TOKEN))
