"""Which of several ways to show who one is counts."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth import entra
from llmkit.auth.tokens import GivenToken, RenewedToken
from llmkit.errors import ConfigurationError
from llmkit.providers import ROWS, find_provider
from llmkit.providers.access import anthropic_access, azure_access, databricks_access, snowflake_access
from llmkit.providers.means import Means
from llmkit.settings import SECRET_OPTIONS

TOKEN = {"token": "canary"}
CLIENT = {"tenant_id": "t", "client_id": "c", "client_secret": "canary"}
PRINCIPAL = {"host": "https://w.cloud.databricks.com", "client_id": "c", "client_secret": "canary"}

PAIR = {"account": "myorg-account1", "user": "u", "private_key": "canary"}


def means(given: dict[str, Any] | None = None, found: dict[str, Any] | None = None, *, keyed: bool = False, at_hand: bool = False) -> Means:
    given = given or {}
    return Means(options={**(found or {}), **given}, given=frozenset(given), keyed=keyed, key_at_hand=at_hand)


@pytest.fixture(autouse=True)
def _without_azure_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entra, "is_installed", lambda: False)


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
    ("said", "kind"),
    [
        (means(), None),
        (means(keyed=True), None),
        (means(at_hand=True), None),
        (means(found={**TOKEN, **CLIENT}, keyed=True), None),
        (means(found=TOKEN, at_hand=True), GivenToken),
        (means(TOKEN, at_hand=True), GivenToken),
        (means(TOKEN, CLIENT), GivenToken),
        (means(found=CLIENT, at_hand=True), None),
        (means(CLIENT, TOKEN, at_hand=True), RenewedToken),
        (means({"tenant_id": "t"}, {"client_id": "c", "client_secret": "canary"}), RenewedToken),
        (means({"client_id": "c"}, at_hand=True), RenewedToken),
    ],
)
def test_azures_ways_count_in_their_order(said: Means, kind: type | None) -> None:
    """What is given; then a token of the environment, and a key of it."""
    options, auth = azure_access(said)

    assert (type(None) if kind is None else kind) is type(auth)
    assert {} == options


@pytest.mark.parametrize(("found", "at_hand", "expected"), [({}, False, True), (CLIENT, False, True), ({}, True, False)])
def test_azures_usual_credentials_come_last(found: dict[str, Any], at_hand: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where azure-identity is installed, and there is neither a key nor a token."""
    monkeypatch.setattr(entra, "is_installed", lambda: True)

    _, auth = azure_access(means(found=found, at_hand=at_hand))

    assert expected == isinstance(auth, RenewedToken)


def test_azure_keeps_its_other_options() -> None:
    """None of them secret."""
    options, _ = azure_access(means({**CLIENT, "scope": "s", "authority": "a", "deployment": "d"}, {"endpoint": "e"}))

    assert {"deployment": "d", "endpoint": "e"} == options


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (means(), None),
        (means(keyed=True), None),
        (means(found=PRINCIPAL, at_hand=True), None),
        (means(found=PRINCIPAL, keyed=True), None),
        (means(found=PRINCIPAL), RenewedToken),
        (means({"client_id": "c"}, PRINCIPAL, at_hand=True), RenewedToken),
        (means({**PRINCIPAL, "host": "w.cloud.databricks.com/"}), RenewedToken),
    ],
)
def test_databricks_service_principal_stands_in_for_a_token(said: Means, kind: type | None) -> None:
    """A given one counts before a token of the environment, one of the environment after it."""
    options, auth = databricks_access(said)

    assert (type(None) if kind is None else kind) is type(auth)
    assert options.keys() <= {"host"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (means(found={"account": "a", "token_type": "OAUTH"}), None),
        (means(keyed=True), None),
        (means(found=PAIR, at_hand=True), None),
        (means(found=PAIR, keyed=True), None),
        (means(found={"account": "a", "user": "u", "passphrase": "canary"}), None),
        (means(found=PAIR), RenewedToken),
        (means(PAIR, at_hand=True), RenewedToken),
        (means({"private_key_path": "rsa_key.p8"}, PAIR, at_hand=True), RenewedToken),
    ],
)
def test_snowflakes_key_pair_stands_in_for_a_token(said: Means, kind: type | None) -> None:
    """A given one counts before a token of the environment, one of the environment after it; it says what its token is."""
    options, auth = snowflake_access(said)

    assert (type(None) if kind is None else kind) is type(auth)
    assert options.keys() <= {"account", "token_type"}
    assert (kind is not None) == (options.get("token_type") == "KEYPAIR_JWT")


@pytest.mark.parametrize(
    ("access", "given"),
    [
        (anthropic_access, TOKEN),
        (azure_access, TOKEN),
        (azure_access, CLIENT),
        (databricks_access, PRINCIPAL),
        (snowflake_access, PAIR),
    ],
)
def test_a_key_and_another_way_contradict_each_other(access: Any, given: dict[str, str]) -> None:
    """It would be a guess which of them counts; the secret is not shown."""
    with pytest.raises(ConfigurationError, match="not both") as raised:
        access(means(given, keyed=True))

    assert "canary" not in str(raised.value)


def test_a_token_and_a_client_contradict_each_other() -> None:
    """Both are Entra's."""
    with pytest.raises(ConfigurationError, match="not both"):
        azure_access(means({**TOKEN, **CLIENT}))


@pytest.mark.parametrize(
    ("access", "given", "variable"),
    [
        (azure_access, {"client_secret": "canary", "client_id": "c"}, "AZURE_TENANT_ID"),
        (azure_access, {"client_secret": "canary", "tenant_id": "t"}, "AZURE_CLIENT_ID"),
        (databricks_access, {"client_id": "c", "host": "h"}, "DATABRICKS_CLIENT_SECRET"),
        (databricks_access, {"client_secret": "canary", "host": "h"}, "DATABRICKS_CLIENT_ID"),
        (databricks_access, {"client_id": "c", "client_secret": "canary"}, "DATABRICKS_HOST"),
        (snowflake_access, {"private_key": "canary", "account": "a"}, "SNOWFLAKE_USER"),
        (snowflake_access, {"private_key_path": "canary", "user": "u"}, "SNOWFLAKE_ACCOUNT"),
    ],
)
def test_half_a_client_is_refused(access: Any, given: dict[str, str], variable: str) -> None:
    """It is said what is missing, and by which name."""
    with pytest.raises(ConfigurationError, match=variable) as raised:
        access(means(given))

    assert "canary" not in str(raised.value)


def test_a_secret_does_not_go_over_plain_http() -> None:
    """Only to this machine itself."""
    with pytest.raises(ConfigurationError, match="plain http"):
        databricks_access(means({**PRINCIPAL, "host": "http://w.example"}))

    assert databricks_access(means({**PRINCIPAL, "host": "http://127.0.0.1:1"}))[1] is not None


@pytest.mark.parametrize(
    ("name", "access"),
    [("anthropic", anthropic_access), ("azure", azure_access), ("databricks", databricks_access), ("snowflake", snowflake_access)],
)
def test_the_rows_leave_the_choice_to_it(name: str, access: Any) -> None:
    """So that clients come here."""
    assert access is find_provider(name).choose_access


def test_every_secret_option_is_known_for_one() -> None:
    """A pickle leaves them out by name, and no other provider gets them."""
    named = {
        name for row in ROWS for name, option in row.options.items() if set(name.split("_")) & {"token", "secret", "key", "passphrase"}
    }

    assert named - {"token_type", "private_key_path"} <= SECRET_OPTIONS


def test_means_do_not_show_secrets() -> None:
    """Neither in a repr."""
    assert "canary" not in repr(means(CLIENT))
