"""The clients of a configuration file."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from llmkit.config.files import load_shelf
from llmkit.config.lazy import LazyClients
from llmkit_async.client import AsyncClient

__all__ = ["AsyncClients", "load_clients"]


class AsyncClients(LazyClients):
    """
    Clients by name, or by provider and model: made when first asked for, and then the same one for all. Thread-safe.

    Asking raises ``KeyError`` for a name that is not there, and ``ConfigurationError`` if no client can be made of what it says.
    """

    async def close(self) -> None:
        """Close the clients that were made; no more are made. Idempotent."""
        for client in self.shut():
            await client.close()

    async def __aenter__(self) -> AsyncClients:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


def load_clients(path: str | os.PathLike[str], profile: str | None = None, **arguments: Any) -> AsyncClients:
    """
    Return the clients of the file at *path*: by name, as in ``load_clients("llmkit.toml")["prod"]``, or by provider and model, as in
    ``load_clients("provider.json")["openai"]["gpt-4"]``. Not awaited.

    The file is read and checked now; a client is made, and its variables are read, when it is first asked for. *arguments* count
    before the file.

    Raises:
        ConfigurationError: If the file cannot be read or understood; it tells line or path.
    """
    return AsyncClients(load_shelf(path, profile=profile).tables, lambda table: table.make(AsyncClient, arguments))
