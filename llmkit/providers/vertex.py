"""
Where Vertex AI is, and how one shows who one is there.

It has two doors: with an express key, models stand under the publisher alone; with an access token, under a project and a location.
Models of partners are behind the second only.

Source: Google Cloud, "Vertex AI in express mode" and "Locations"; google-genai 3.4.0, ``_api_client.py``; anthropic 2.12,
``lib/vertex``; read 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Any

from llmkit.auth.base import Auth
from llmkit.errors import ConfigurationError
from llmkit.providers.means import Means

__all__ = ["vertex_access", "vertex_claude_access", "vertex_host"]

_LOCATION = re.compile(r"[a-z][a-z0-9-]*")


def vertex_host(location: str) -> str:
    """
    Return the host that serves *location*.

    Raises:
        ConfigurationError: If it is none.
    """
    if _LOCATION.fullmatch(location) is None:
        msg = f"The location is 'global', a region such as 'europe-west4', or 'us' or 'eu', not {location!r}."
        raise ConfigurationError(msg)
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def vertex_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """
    Return the options in force and the way to show who one is; None where it is the provider's own, a key.

    What is said counts before what is found: a key, a token, then a project of the environment with Google's usual credentials, then a
    key of the environment. The option ``token`` is an access token, or a function that returns one.

    Raises:
        ConfigurationError: If there is neither a key nor a project.
    """
    said = means.without("token")
    token = means.options.get("token")
    if means.keyed and token is not None:
        msg = "Vertex AI takes a key or the option 'token', not both."
        raise ConfigurationError(msg)
    if means.keyed or (token is None and means.key_at_hand and not said.get("project")):
        # Keys belong to the publisher's own door, which has neither projects nor regions.
        return means.without("token", "project", "location"), None
    return _of_project(said, token, "; or pass an express key as api_key=")


def vertex_claude_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """
    Return the options in force and the way to show who one is to a partner's models, which take no key.

    Raises:
        ConfigurationError: If a key is given, or there is no project.
    """
    if means.keyed:
        msg = "Claude on Vertex AI takes no key: leave out api_key=, and pass options={'token': ...} or use Google's usual credentials."
        raise ConfigurationError(msg)
    said = means.without("token")
    return _of_project(said, means.options.get("token"), "")


def _of_project(said: dict[str, str], token: Any, otherwise: str) -> tuple[dict[str, str], Auth]:
    from llmkit.auth.google import GoogleCredentials
    from llmkit.auth.tokens import GivenToken

    auth = GoogleCredentials() if token is None else GivenToken(token, "Google's")
    project = said.get("project") or (auth.project if isinstance(auth, GoogleCredentials) else None)
    if not project:
        msg = f"Vertex AI needs a project: pass options={{'project': ...}}, or set GOOGLE_CLOUD_PROJECT{otherwise}."
        raise ConfigurationError(msg)
    return {**said, "project": project}, auth
