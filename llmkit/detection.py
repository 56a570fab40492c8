"""
Finding a provider when none is named: environment variables first, then a local Ollama.

Nothing is probed before a client is made without a model, and the probe of the local server is bounded.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from attrs import frozen

from llmkit.errors import ConfigurationError
from llmkit.providers import Provider, detectable, local_server, split_model

__all__ = ["Found", "detect"]

MODEL_VARIABLE = "LLMKIT_MODEL"
PROBE_TIME = 0.3  # seconds: nobody should wait longer to learn that there is nothing


@frozen(kw_only=True)
class Found:
    """What was found, and by what."""

    provider: str
    model: str
    reason: str


def detect() -> Found:
    """
    Return the provider and model to use.

    Raises:
        ConfigurationError: If nothing was found; it says what was looked for and how to set one.
    """
    found = next(_candidates(), None)
    if found is not None:
        return found
    variables = ", ".join(row.key_env[0] for row in detectable())
    msg = (
        f"No provider was found. Looked for {MODEL_VARIABLE}, for the keys {variables}, and for an Ollama at "
        f"{_local_base()}. Set one of them, or name a model: Client('openai/gpt-4o-mini', api_key=...)."
    )
    raise ConfigurationError(msg)


def _candidates() -> Iterator[Found]:
    model = os.environ.get(MODEL_VARIABLE)
    if model:
        yield _named(model)
    for row in detectable():
        for variable in row.key_env:
            if os.environ.get(variable):
                yield Found(provider=row.name, model=_default(row), reason=f"{variable} is set, so the provider is {row.name}.")
    model = _local_model(_local_base())
    if model is not None:
        local = local_server()
        yield Found(provider=local.name, model=model, reason=f"{local.name} answers at {_local_base()}.")


def _named(model: str) -> Found:
    provider, name = split_model(model)
    if provider is None:
        msg = f"{MODEL_VARIABLE} is 'provider/model', such as 'openai/gpt-4o-mini', not {model!r}."
        raise ConfigurationError(msg)
    return Found(provider=provider, model=name, reason=f"{MODEL_VARIABLE} names it.")


def _default(row: Provider) -> str:
    assert row.default_model is not None  # detectable rows have one
    return row.default_model


def _local_base() -> str:
    """Return where the local server is, or would be."""
    local = local_server()
    return local.base(next(filter(None, map(os.environ.get, local.base_env)), None), {})


def _local_model(base: str) -> str | None:
    """Return the first model of the server at *base* that can chat; None where none answers in time."""
    parts = urlsplit(base)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=PROBE_TIME)
    try:
        connection.request("GET", f"{parts.path}/api/tags")
        reply = connection.getresponse()
        listing = json.loads(reply.read(1 << 20)) if reply.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    models = listing.get("models") if isinstance(listing, dict) else None
    names = [row.get("name") for row in models or () if isinstance(row, dict)]
    return next((name for name in names if isinstance(name, str) and "embed" not in name), None)
