"""
What a wire for embeddings, and one for counting tokens, has to say of itself. Both are pure, as a dialect is.

An answer that is an error is read by the provider's dialect: its errors are of one form on all its paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmkit.dialects.base import WireError
from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EmbeddingResponse, Vectors
from llmkit.models.usage import UNREPORTED, Usage

if TYPE_CHECKING:
    from llmkit.dialects.base import Place
    from llmkit.models.embedding import EmbeddingRequest
    from llmkit.models.request import CompletionRequest
    from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["Embedder", "Limits", "TokenCounter", "embedded", "purpose"]


class Limits(NamedTuple):
    """The most that one request may hold: inputs, and tokens of all of them together; None where no bound is known."""

    inputs: int
    tokens: int | None = None


class Embedder(Protocol):
    """One wire for embeddings. Implementations are frozen values."""

    @property
    def parameters(self) -> frozenset[str]:
        """Those of ``EMBEDDING_PARAMETERS`` that this wire can say."""
        ...

    @property
    def takes_empty(self) -> bool:
        """Whether an input may be empty."""
        ...

    def limits(self, model: str) -> Limits:
        """Return the most that one request to *model* may hold."""
        ...

    def encode(self, request: EmbeddingRequest, place: Place) -> HttpRequest:
        """
        Return *request*, which is within the limits, as it goes over the wire, without credentials.

        Raises:
            ConfigurationError: If something cannot be said in this format.
        """
        ...

    def decode(self, response: HttpResponse, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return the vectors in a good (2xx) reply, one for each input. Raises ``WireError`` if they are not in it."""
        ...


class TokenCounter(Protocol):
    """One wire for counting tokens. Implementations are frozen values."""

    @property
    def not_counted(self) -> str:
        """What the server's refusal says of a model whose tokens it does not count; empty where it counts those of all."""
        ...

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        """Return the question how many tokens *request* is, without credentials."""
        ...

    def decode(self, response: HttpResponse) -> int:
        """Return the number in a good (2xx) reply. Raises ``WireError`` if there is none."""
        ...


def embedded(
    rows: Iterable[Any],
    request: EmbeddingRequest,
    response: HttpResponse,
    *,
    usage: Usage = UNREPORTED,
    model: str = "",
) -> EmbeddingResponse:
    """Return the answer with the vectors *rows*. Raises ``WireError`` if they are not one for each input, all of one length."""
    try:
        vectors = Vectors.of(rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError.malformed(f"The reply has no vectors: {error}.", response) from None
    if len(vectors) != len(request.inputs):
        raise WireError.malformed(f"The reply has {len(vectors)} vectors for {len(request.inputs)} inputs.", response)
    return EmbeddingResponse(vectors=vectors, usage=usage, model=model or request.model)


def purpose(given: str, words: Mapping[str, str], owner: str) -> str:
    """
    Return what the wire calls the input type *given*, which may be its own word already.

    Raises:
        ConfigurationError: If it has none for it.
    """
    said = words.get(given, given)
    if said not in words.values():
        msg = f"{owner} knows the input_type {', '.join(words)}, not {given!r}."
        raise ConfigurationError(msg)
    return said
