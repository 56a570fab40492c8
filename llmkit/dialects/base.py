"""
What a wire format has to say of itself.

A dialect is pure: it turns a request into bytes and bytes into an answer. It knows no client, no policy, no clock, no environment
and no other dialect; what differs between two servers of one format is a field of it, set in the provider's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field

from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import ERROR_BODY_LIMIT, HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.chunk import CompletionChunk
    from llmkit.models.info import ModelInfo

__all__ = ["Dialect", "Place", "StreamDecoder", "WireError", "merged", "request_id"]

# Where servers put the id of a request, the most telling first; the last is of the network in front of many of them.
REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "mistral-correlation-id",
    "x-generation-id",
    "inference-id",
    "x-amzn-requestid",
    "x-debug-trace-id",
    "x-litellm-call-id",
    "cf-ray",
)


@frozen(kw_only=True, eq=False)
class Place:
    """
    Where a request goes, as far as its form depends on it.

    ``base_url`` has no slash at its end. ``options`` are the provider's own (region, API version). ``refused`` names what this server
    has been found not to take, such as ``"stream_options"``: a dialect leaves it out where it may.
    """

    base_url: str
    options: Mapping[str, str] = field(factory=dict)
    refused: frozenset[str] = frozenset()


class WireError(Exception):
    """
    The bytes say that something went wrong, or say nothing that can be understood.

    ``chunks`` is what the same bytes of a stream had brought before: it is given out first.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault
        self.chunks: list[CompletionChunk] = []

    @classmethod
    def malformed(cls, message: str, response: HttpResponse | None = None) -> WireError:
        """Return the error of a reply that is not what the format promises."""
        return cls._of("malformed", message, response)

    @classmethod
    def truncated(cls, message: str, response: HttpResponse | None = None) -> WireError:
        """Return the error of an answer that ended before its proof of completeness."""
        return cls._of("truncated", message, response)

    @classmethod
    def _of(cls, kind: str, message: str, response: HttpResponse | None) -> WireError:
        if response is None:
            return cls(Fault(status=200, kind=kind, message=message))
        headers = response.headers
        # Cut far behind what an error keeps: it is masked before it is shortened, and half a key would not be recognised as one.
        body = response.body[:ERROR_BODY_LIMIT].decode("utf-8", "replace")
        return cls(Fault(status=response.status, kind=kind, message=message, request_id=request_id(headers), headers=headers, body=body))


class StreamDecoder(Protocol):
    """
    Turns the bytes of one streamed answer into chunks; indifferent to how they were cut.

    ``ended`` tells that nothing more will come that matters, so that reading can stop. ``feed`` and ``finish`` raise ``WireError``.
    """

    @property
    def ended(self) -> bool: ...

    def feed(self, data: bytes) -> list[CompletionChunk]:
        """Return the chunks that *data* completes."""
        ...

    def finish(self) -> list[CompletionChunk]:
        """Take note that no more bytes come; an answer without its proof of completeness is a truncated one."""
        ...

    def response(self) -> CompletionResponse:
        """Return the answer as far as it has come."""
        ...


class Dialect(Protocol):
    """One wire format. Implementations are frozen values."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the request parameters that this wire can say."""
        ...

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        """
        Return *request* as it goes over the wire, without credentials.

        Raises:
            ConfigurationError: If a part or a combination cannot be said in this format.
        """
        ...

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        """Return the answer in a good (2xx) reply. Raises ``WireError`` if there is none in it."""
        ...

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        """Return a decoder for the body of a good reply to a streaming request."""
        ...

    def fault(self, response: HttpResponse) -> Fault:
        """Return what a reply that is not 2xx says went wrong. Never raises."""
        ...

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        """
        Return the name of what to leave out and try once more without, if *fault* refuses something that the user did not ask for.

        ``encode`` then finds it in ``Place.refused``.
        """
        ...

    def encode_models(self, place: Place) -> HttpRequest | None:
        """Return the request that lists models; None where the provider has none."""
        ...

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        """Return the models in a good reply to it. Raises ``WireError``."""
        ...


def merged(body: dict[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return *body* with *extra* laid over it: objects key by key, everything else replaced. *extra* has the last word."""
    if not extra:
        return body
    result = dict(body)
    for key, value in extra.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which the provider's support finds a request. *headers* have lower-case names."""
    for name in REQUEST_IDS:
        if headers.get(name):
            return headers[name]
    return None
