"""Providers that users bring: a row, or a wire of their own, spoken by both faces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import frozen

from llmkit import (
    CompletionChunk,
    CompletionRequest,
    CompletionResponse,
    Fault,
    HttpRequest,
    HttpResponse,
    InvalidRequestError,
    Place,
    WireError,
    assistant,
    register_provider,
)
from llmkit.testing import FakeServer

pytestmark = pytest.mark.usefixtures("own_registry")


@frozen
class Lines:
    """A wire of which a stream is lines of text, and the answer one of them."""

    name: str = "lines"
    parameters: frozenset[str] = frozenset({"temperature"})

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        body = json.dumps({"say": request.messages[-1].text, "heat": request.temperature}).encode()
        return HttpRequest(method="POST", url=f"{place.base_url}/say", headers={"Content-Type": "application/json"}, body=body)

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if not response.body:
            raise WireError.truncated("nothing came", response)
        return CompletionResponse(message=assistant(response.body.decode()), model=request.model)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> LinesDecoder:
        return LinesDecoder(request)

    def fault(self, response: HttpResponse) -> Fault:
        return Fault(status=response.status, kind="bad_request", message=response.body.decode())

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None

    def encode_models(self, place: Place) -> HttpRequest | None:
        return None

    def decode_models(self, response: HttpResponse) -> list[Any]:
        return []


class LinesDecoder:
    """Ends with a full stop."""

    def __init__(self, request: CompletionRequest) -> None:
        self.text = ""
        self.model = request.model

    @property
    def ended(self) -> bool:
        return self.text.endswith(".")

    def feed(self, data: bytes) -> list[CompletionChunk]:
        self.text += data.decode()
        return [CompletionChunk(text=data.decode())]

    def finish(self) -> list[CompletionChunk]:
        if not self.ended:
            raise WireError.truncated("no full stop")
        return []

    def response(self) -> CompletionResponse:
        return CompletionResponse(message=assistant(self.text), model=self.model)


def test_a_row_is_enough_for_what_speaks_openais_wire(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address, its variable, its way to send the key."""
    monkeypatch.setenv("ACME_KEY", "ac-0123456789")
    register_provider("acme", base_url=server.url("custom"), env="ACME_KEY", auth="X-Acme-Key")

    answer = face.client("acme/big").complete("Hi")

    assert "You said: Hi" == answer.text
    assert ("ac-0123456789", "big") == (server.requests[0].headers["x-acme-key"], server.requests[0].json["model"])


def test_a_wire_of_ones_own_is_spoken(face: Any) -> None:
    """By both faces, since it does no I/O."""
    register_provider("acme", base_url="https://acme.example", env=(), dialect=Lines())
    double = face.double(HttpResponse(status=200, headers={}, body=b"Hello."))

    answer = face.client("acme/big", transport=double).complete("Hi", temperature=0.5)

    assert ("Hello.", "acme", "big") == (answer.text, answer.provider, answer.model)
    assert "https://acme.example/say" == double.requests[0].url
    assert {"say": "Hi", "heat": 0.5} == json.loads(double.requests[0].body)


def test_what_it_refuses_is_an_error_like_any_other(face: Any) -> None:
    """With the class that its fault says."""
    register_provider("acme", base_url="https://acme.example", dialect=Lines())
    double = face.double(HttpResponse(status=400, headers={}, body=b"Speak up."))

    with pytest.raises(InvalidRequestError, match="Speak up"):
        face.client("acme/big", transport=double).complete("Hi")
