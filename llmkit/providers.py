"""
The table of providers: the one place where their names are spelled.

A provider that speaks a known wire is one row. What differs is a field of the row or of its dialect.

Sources: each provider's own reference and recorded traffic, 2026-11-21; the rows say where something is only believed.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from llmkit.auth.base import Auth, HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError

__all__ = ["Option", "Provider", "find_provider", "provider_names", "split_model"]


@frozen(kw_only=True)
class Option:
    """What one provider alone needs, such as a region: where it is looked for when it is not given."""

    env: tuple[str, ...] = ()
    default: str | None = None
    meaning: str = ""


@frozen(kw_only=True)
class Provider:
    """
    One provider.

    Args:
        name: What it is called in ``"provider/model"``.
        dialect: Its wire, with its quirks.
        base_url: Where it is; ``{name}`` is an option of that name. None where the user must say.
        aliases: Other names for it.
        key_env: Environment variables that may hold its key, the first found wins.
        base_env: Environment variables that may hold its base URL.
        auth: How the key is sent.
        key_required: Whether it can do nothing without a key.
        options: What else it needs.
        headers: Header names and the environment variables they are taken from, where those are set.
        static_headers: Headers that always go along.
        default_path: The path of a base URL that has none, such as ``/v1``.
        default_model: The model of ``Client()``, when this provider is found by itself.
        model_prefixes: How its own models' names begin, for a bare ``"gpt-4o"``.
    """

    name: str
    dialect: Dialect
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    base_env: tuple[str, ...] = ()
    auth: Auth = HeaderAuth()  # noqa: RUF009 - frozen
    key_required: bool = True
    options: Mapping[str, Option] = field(factory=dict)
    headers: Mapping[str, tuple[str, ...]] = field(factory=dict)
    static_headers: Mapping[str, str] = field(factory=dict)
    default_path: str = ""
    default_model: str | None = None
    model_prefixes: tuple[str, ...] = ()


ROWS: tuple[Provider, ...] = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        default_path="/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=("OPENAI_BASE_URL",),
        headers={"OpenAI-Organization": ("OPENAI_ORG_ID",), "OpenAI-Project": ("OPENAI_PROJECT_ID",)},
        default_model="gpt-4o-mini",
        model_prefixes=("gpt-", "chatgpt-", "o1", "o3", "o4"),
        dialect=OpenAIChat(owner="openai", max_tokens_field="max_completion_tokens"),
    ),
    Provider(name="custom", default_path="/v1", key_required=False, dialect=OpenAIChat(owner="custom", takes_top_k=True)),
)

_BY_NAME: dict[str, Provider] = {name: row for row in ROWS for name in (row.name, *row.aliases)}


def provider_names() -> list[str]:
    """Return the names of all known providers, without their aliases, sorted."""
    return sorted({row.name for row in _BY_NAME.values()})


def find_provider(name: str) -> Provider:
    """
    Return the provider called *name*.

    Raises:
        ConfigurationError: If there is none; it names the nearest.
    """
    row = _BY_NAME.get(name) or _BY_NAME.get(name.lower())
    if row is None:
        raise ConfigurationError(_unknown(name))
    return row


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), _BY_NAME, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"There is no provider {name!r}.{hint} Known are {', '.join(provider_names())}; any other server that speaks "
        "OpenAI's wire is provider='custom' with base_url=."
    )


def split_model(model: str) -> tuple[str | None, str]:
    """
    Return ``(provider, model)`` for ``"provider/model"`` or ``"provider:model"``; no provider where none is named.

    The first separator whose left side is a known provider counts, so that ``ollama/llama3.2:1b`` and
    ``huggingface/meta-llama/Llama-3.1-8B`` both work.
    """
    for index, mark in enumerate(model):
        if mark in "/:" and model[:index].lower() in _BY_NAME and model[index + 1 :]:
            return model[:index].lower(), model[index + 1 :]
    return None, model


def owner_of(model: str) -> str | None:
    """Return the provider whose own model has the bare name *model*, by how its models' names begin."""
    for row in ROWS:
        if row.model_prefixes and model.startswith(row.model_prefixes):
            return row.name
    return None
