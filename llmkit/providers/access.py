"""
How one shows who one is, where there are several ways: by a key, by a token that is given, by one that is fetched.

Rule 1: what the user says counts before what the environment holds, and two things said that exclude each other are an error.
Rule 2: what is secret leaves the options here: dialects, addresses and reprs see the rest.

Source: anthropic 2.12, ``_client.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable

from llmkit.auth.base import Auth
from llmkit.errors import ConfigurationError
from llmkit.providers.provider import Means

__all__ = ["anthropic_access"]


def _exclude(means: Means, provider: str, names: Iterable[str]) -> None:
    """Refuse a key beside options *names*, which stand for another way."""
    said = sorted(means.of(names))
    if means.keyed and said:
        msg = f"{provider} takes a key or the option {said[0]!r}, not both."
        raise ConfigurationError(msg)


def anthropic_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """Return how one shows who one is to Anthropic: a key of the environment counts before its token."""
    _exclude(means, "Anthropic", ["token"])
    said, token = means.without("token"), means.options.get("token")
    if token is None or (not means.of(["token"]) and (means.keyed or means.key_at_hand)):
        return said, None
    from llmkit.auth.tokens import GivenToken

    return said, GivenToken(token, "Anthropic's")
