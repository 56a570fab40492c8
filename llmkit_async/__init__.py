"""The asyncio twin of llmkit: the same names and arguments, awaited. ``pip install llmkit[async]`` brings what it needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit_async.client import AsyncClient as AsyncClient
    from llmkit_async.client import AsyncCompletionStream as AsyncCompletionStream
    from llmkit_async.limits import AsyncTokenBucket as AsyncTokenBucket
    from llmkit_async.transport import AiohttpTransport as AiohttpTransport

_HOME_OF = {
    "AiohttpTransport": "llmkit_async.transport",
    "AsyncClient": "llmkit_async.client",
    "AsyncCompletionStream": "llmkit_async.client",
    "AsyncTokenBucket": "llmkit_async.limits",
}

__all__ = ["AiohttpTransport", "AsyncClient", "AsyncCompletionStream", "AsyncTokenBucket"]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(home), name)
    return value
