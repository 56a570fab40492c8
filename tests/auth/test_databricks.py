"""A service principal of a Databricks workspace, against a workspace on loopback."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth.databricks import databricks_tokens
from llmkit.errors import ConfigurationError
from llmkit.secrets import Secret
from llmkit.transport.base import HttpRequest
from llmkit.transport.settings import TransportSettings

REQUEST = HttpRequest(method="POST", url="https://w.cloud.databricks.com/serving-endpoints/chat/completions")


def test_a_workspace_gives_tokens(issuer: Any) -> None:
    """At its own endpoint, for all its interfaces; they are kept, and replaced when they are refused."""
    auth = databricks_tokens(issuer.url, "principal", Secret("canary"), TransportSettings())

    first, second = (auth.headers(REQUEST, None) for _ in range(2))
    auth.refused(first)
    third = auth.headers(REQUEST, None)

    assert {"Authorization": "Bearer canary-token-1"} == first == second
    assert {"Authorization": "Bearer canary-token-2"} == third
    assert ["/oidc/v1/token"] * 2 == [asked.path for asked in issuer.asked]
    assert {"grant_type": "client_credentials", "scope": "all-apis"} == issuer.asked[0].form
    assert "canary" not in f"{auth!r} {first!r}"


def test_the_secret_goes_over_tls() -> None:
    """To any machine but this one."""
    with pytest.raises(ConfigurationError, match="plain http"):
        databricks_tokens("http://w.example", "principal", Secret("canary"), TransportSettings())
