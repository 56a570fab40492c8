"""Providers that are no service on a network: an engine in this process, a stub, another program."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING

from llmkit.auth.base import NoAuth
from llmkit.errors import ConfigurationError
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.providers.provider import Provider

if TYPE_CHECKING:
    from llmkit.models.chunk import CompletionChunk
    from llmkit.models.response import CompletionResponse

__all__ = ["LocalProvider", "as_row"]


class LocalProvider:
    """
    A provider in Python: subclass it, implement ``complete``, ``stream`` or both, and give an instance to a client as ``provider=``, or
    to ``register_provider("name", local=...)``.

    All that surrounds a call holds here too: retries, breaker, limits, fallbacks, budgets, hooks, typed answers. What is raised is
    classed: an ``LLMKitError`` by its ``kind``, an ``OSError`` as a failure of the network (``TimeoutError`` as a time-out); anything
    else is a bug, ends the call and is seen as it is.

    The methods run in threads of their own, several at once where calls are (``rate_limit=RateLimit(max_concurrency=1)`` makes it one
    after the other); in the twin ``acomplete`` and ``astream`` run on the loop, where they are implemented. Nobody can cut Python code
    short: at the deadline, and when it is cancelled, the call ends, but a method that is under way runs to its end, and what it returns is
    dropped; a stream is left at its next chunk. ``timeout`` bounds nothing here, since a second try beside the first would not help.
    ``complete`` runs under an ambient ``llmkit.deadline``, which calls of other clients in it keep.

    ``name`` is what errors and the ledger call it, and ``default_model`` the model where none is named. ``parameters`` are those of
    ``complete()`` that it honours: others are refused. ``per_token`` says whether the catalogue's prices hold.
    """

    name: str = "local"
    default_model: str = "local"
    parameters: frozenset[str] = frozenset(PARAMETERS) - {"extra_headers"}
    per_token: bool = False

    def complete(self, request: CompletionRequest) -> CompletionResponse | str:
        """Return the answer to *request*, or its text. Unless it is implemented, the stream is put together."""
        raise NotImplementedError

    def stream(self, request: CompletionRequest) -> Iterable[CompletionChunk | str]:
        """Yield the answer to *request* in chunks or pieces of text; its end is the answer's. Unless it is implemented, it comes whole."""
        raise NotImplementedError

    async def acomplete(self, request: CompletionRequest) -> CompletionResponse | str:
        """Do what ``complete`` does, on the loop; in a thread unless it is implemented."""
        raise NotImplementedError

    def astream(self, request: CompletionRequest) -> AsyncIterable[CompletionChunk | str]:
        """Do what ``stream`` does, on the loop: an asynchronous generator. In a thread unless it is implemented."""
        raise NotImplementedError

    def implements(self, method: str) -> bool:
        """Whether *method*, one of the four, is implemented."""
        return getattr(type(self), method) is not getattr(LocalProvider, method)

    def row(self, name: str | None = None) -> Provider:
        """
        Return what is known of it as a provider.

        Raises:
            ConfigurationError: If it implements nothing.
        """
        if not any(map(self.implements, ("complete", "stream", "acomplete", "astream"))):
            msg = f"{type(self).__name__} implements neither complete() nor stream()."
            raise ConfigurationError(msg)
        from llmkit.providers.local_wire import LocalDialect

        known = name or self.name
        return Provider(
            name=known,
            dialect=LocalDialect(owner=known, parameters=frozenset(self.parameters)),
            base_url=f"local://{known}",
            auth=NoAuth(),
            key_required=False,
            per_token=self.per_token,
            default_model=self.default_model,
            local=self,
        )


def as_row(given: object) -> object:
    """Return *given*, or the provider's row of a ``LocalProvider``."""
    return given.row() if isinstance(given, LocalProvider) else given
