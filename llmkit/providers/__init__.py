"""Providers: what each is called, where it is, and how it differs. Their names are spelled in ``table`` and nowhere else."""

from __future__ import annotations

from llmkit.providers.local import LocalProvider, as_row
from llmkit.providers.provider import Option, Provider
from llmkit.providers.registry import (
    ROWS,
    detectable,
    discover,
    embedding_providers,
    find_provider,
    local_server,
    owner_of,
    provider_names,
    register_provider,
    split_model,
)

__all__ = [
    "ROWS",
    "LocalProvider",
    "Option",
    "Provider",
    "as_row",
    "detectable",
    "discover",
    "embedding_providers",
    "find_provider",
    "local_server",
    "owner_of",
    "provider_names",
    "register_provider",
    "split_model",
]
