"""Providers: what each is called, where it is, and how it differs. Their names are spelled in ``table`` and nowhere else."""

from __future__ import annotations

from llmkit.providers.local import LocalProvider, as_row
from llmkit.providers.provider import Option, Provider
from llmkit.providers.registry import (
    ROWS,
    check_options,
    detectable,
    discover,
    embedding_providers,
    find_provider,
    local_server,
    meant_by,
    owner_of,
    provider_names,
    register_provider,
    split_model,
    whose_is,
)

__all__ = [
    "ROWS",
    "LocalProvider",
    "Option",
    "Provider",
    "as_row",
    "check_options",
    "detectable",
    "discover",
    "embedding_providers",
    "find_provider",
    "local_server",
    "meant_by",
    "owner_of",
    "provider_names",
    "register_provider",
    "split_model",
    "whose_is",
]
