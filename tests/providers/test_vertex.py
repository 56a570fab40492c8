"""Vertex AI's two doors: which host, and what shows who one is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.auth.google import GoogleCredentials
from llmkit.auth.tokens import GivenToken
from llmkit.errors import ConfigurationError
from llmkit.providers import find_provider
from llmkit.providers.means import Means
from llmkit.providers.vertex import vertex_access, vertex_claude_access, vertex_host


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_each_location_has_its_host(location: str, host: str) -> None:
    """And the row leads there."""
    assert host == vertex_host(location)
    assert f"https://{host}/v1beta1" == find_provider("vertex").base(None, {"location": location})


@pytest.mark.parametrize("location", ["", "evil.example/", "x.y", "Europe", "-a", "a b"])
def test_a_location_cannot_move_the_request(location: str) -> None:
    """It is a region's name, or refused."""
    with pytest.raises(ConfigurationError, match="location"):
        vertex_host(location)


FOUND: dict[str, Any] = {"project": "p", "location": "eu"}


@pytest.mark.parametrize(
    ("options", "keyed", "key_at_hand", "kind"),
    [
        ({}, True, False, None),
        (FOUND, True, False, None),
        ({}, False, True, None),
        (FOUND, False, True, GoogleCredentials),
        (FOUND, False, False, GoogleCredentials),
        ({**FOUND, "token": "ya29.x"}, False, True, GivenToken),
        ({**FOUND, "token": lambda: "ya29.x"}, False, False, GivenToken),
    ],
)
def test_what_is_said_counts_before_what_is_found(options: dict[str, Any], keyed: bool, key_at_hand: bool, kind: Any) -> None:
    """A key, a token, a project of the environment, a key of the environment: in this order. Keys know no projects."""
    said, auth = vertex_access(Means(options=options, given=frozenset(options), keyed=keyed, key_at_hand=key_at_hand))

    assert (type(None) if kind is None else kind) is type(auth)
    assert ({} if kind is None else FOUND) == said


def test_a_key_and_a_token_contradict_each_other() -> None:
    """It would be a guess which of them pays."""
    with pytest.raises(ConfigurationError, match="not both"):
        vertex_access(Means(options={"token": "ya29.x"}, keyed=True))


def test_a_token_needs_a_project() -> None:
    """It does not say whose it is."""
    with pytest.raises(ConfigurationError, match="GOOGLE_CLOUD_PROJECT"):
        vertex_access(Means(options={"token": "ya29.x"}))


def test_the_project_may_come_from_the_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Google's own package has it."""
    pytest.importorskip("google.auth")
    path = tmp_path / "user.json"
    path.write_text(json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-outside")

    said, auth = vertex_access(Means())

    assert {"project": "from-outside"} == said
    assert isinstance(auth, GoogleCredentials)


def test_a_partners_models_have_a_row_of_their_own() -> None:
    """Told by how their names begin: another wire, another version of the address, the same provider."""
    row = find_provider("vertex")

    claude = row.serving("Claude-sonnet-4-5@20250929")

    assert ("vertex", "anthropic") == (claude.name, claude.dialect.name)
    assert "https://aiplatform.eu.rep.googleapis.com/v1" == claude.base(None, {"location": "eu"})
    assert row is row.serving("gemini-2.5-pro") is row.serving("my-claude-")
    assert vertex_claude_access is claude.choose_access


def test_a_partners_models_take_no_key() -> None:
    """Express keys are Gemini's alone; a key of the environment is passed over."""
    said, auth = vertex_claude_access(Means(options={**FOUND, "token": "ya29.x"}, key_at_hand=True))

    assert (FOUND, GivenToken) == (said, type(auth))
    with pytest.raises(ConfigurationError, match="no key"):
        vertex_claude_access(Means(options=FOUND, keyed=True))
    with pytest.raises(ConfigurationError, match="GOOGLE_CLOUD_PROJECT"):
        vertex_claude_access(Means(options={"token": "ya29.x"}))


def test_the_row_leaves_the_choice_to_it() -> None:
    """So that clients come here."""
    assert vertex_access is find_provider("vertex").choose_access
