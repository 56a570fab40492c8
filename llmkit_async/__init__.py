"""The asyncio twin of llmkit: the same names and arguments, awaited. ``pip install llmkit[async]`` brings what it needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit_async.agent import Agent as Agent
    from llmkit_async.agent import AsyncAgent as AsyncAgent
    from llmkit_async.client import AsyncClient as AsyncClient
    from llmkit_async.clients import AsyncClients as AsyncClients
    from llmkit_async.clients import load_clients as load_clients
    from llmkit_async.functions import llm_function as llm_function
    from llmkit_async.limits import AsyncTokenBucket as AsyncTokenBucket
    from llmkit_async.retrieval import AsyncRetriever as AsyncRetriever
    from llmkit_async.running import AsyncRunStream as AsyncRunStream
    from llmkit_async.streaming import AsyncCompletionStream as AsyncCompletionStream
    from llmkit_async.transport import AiohttpTransport as AiohttpTransport

_HOME_OF = {
    "Agent": "llmkit_async.agent",
    "AiohttpTransport": "llmkit_async.transport",
    "AsyncAgent": "llmkit_async.agent",
    "AsyncClient": "llmkit_async.client",
    "AsyncClients": "llmkit_async.clients",
    "AsyncCompletionStream": "llmkit_async.streaming",
    "AsyncRetriever": "llmkit_async.retrieval",
    "AsyncRunStream": "llmkit_async.running",
    "AsyncTokenBucket": "llmkit_async.limits",
    "llm_function": "llmkit_async.functions",
    "load_clients": "llmkit_async.clients",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
