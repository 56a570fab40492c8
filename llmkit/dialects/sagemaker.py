"""
Amazon SageMaker's endpoints: a signed pipe to whatever the container behind them speaks.

Requests and answers are the container's own; what is SageMaker's are the address, some headers, the frames around a stream, and the
errors, in which those of the container are wrapped. So the container's wire is a field of this one.

Source: AWS, "SageMaker Runtime API reference", and botocore 1.44.5, ``sagemaker-runtime/2017-05-13/service-2.json``; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.dialects.aws_faults import read_fault
from llmkit.dialects.base import Dialect, Place, StreamDecoder
from llmkit.dialects.wire_json import word
from llmkit.errors import ConfigurationError
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["OPTION_HEADERS", "SageMaker"]

# Options that go along as headers of their own.
OPTION_HEADERS: Mapping[str, str] = {
    "inference_component": "X-Amzn-SageMaker-Inference-Component",
    "target_model": "X-Amzn-SageMaker-Target-Model",
    "target_variant": "X-Amzn-SageMaker-Target-Variant",
    "target_container": "X-Amzn-SageMaker-Target-Container-Hostname",
    "inference_id": "X-Amzn-SageMaker-Inference-Id",
    "session_id": "X-Amzn-SageMaker-Session-Id",
    "prefix_aware_id": "X-Amzn-SageMaker-Prefix-Aware-Id",
    "enable_explanations": "X-Amzn-SageMaker-Enable-Explanations",
    "custom_attributes": "X-Amzn-SageMaker-Custom-Attributes",
}

_ENDPOINT = re.compile(r"(?:arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d+:endpoint/)?([A-Za-z0-9](?:-*[A-Za-z0-9]){0,62})")
_NOT_THERE = re.compile(r"Endpoint \S+ of account \S+ not found")


@frozen(kw_only=True)
class SageMaker:
    """
    SageMaker, and the wire of the containers behind it.

    Args:
        container: What the containers speak. Its address and models are not used.
        owner: The provider's name.
    """

    container: Dialect
    name: str = "sagemaker"
    owner: str = "sagemaker"

    @property
    def parameters(self) -> frozenset[str]:
        return self.container.parameters

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        http = self.container.encode(request, place)
        headers = http.headers
        accept = headers.pop("Accept", "application/json")
        # The stream's own Accept is about its frames; what the container is to send has a name of its own.
        headers["X-Amzn-SageMaker-Accept" if request.stream else "Accept"] = accept
        own = _own_headers(place)
        if own:
            said = {name.lower() for name in headers}
            headers.update({name: text for name, text in own.items() if name.lower() not in said})
        operation = "invocations-response-stream" if request.stream else "invocations"
        http.url = f"{place.base_url}/endpoints/{_endpoint(request.model)}/{operation}"
        return http

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        return self.container.decode(response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        said = response.headers.get("content-type", "")
        if said and "eventstream" not in said:
            return self.container.decoder(response, request)  # a gateway took the frames off
        from llmkit.dialects.sagemaker_stream import PayloadParts  # not needed by those who only want whole answers

        return PayloadParts(container=self.container, answer_to=response, request=request)

    def fault(self, response: HttpResponse) -> Fault:
        fault = read_fault(response)
        original = word(fault.error.get("OriginalMessage"))
        if original:
            return self._unwrapped(fault, original)
        if fault.status == 400 and _NOT_THERE.match(fault.message):
            return evolve(fault, kind="not_found")
        return fault

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return self.container.concession(evolve(fault, status=_original_status(fault)), request)

    def encode_models(self, place: Place) -> HttpRequest | None:
        return None

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return self.container.decode_models(response)

    def _unwrapped(self, fault: Fault, original: str) -> Fault:
        """Return *fault*, the pipe's, in the words of the container. Its status stays that of the reply."""
        inner = self.container.fault(
            HttpResponse(status=_original_status(fault), headers=fault.headers, body=original.encode("utf-8", "replace"))
        )
        error: dict[str, Any] = {**fault.error, "error": inner.error}
        return evolve(
            fault,
            message=inner.message or fault.message,
            code=inner.code,
            type=inner.type or fault.type,
            param=inner.param,
            kind=inner.kind,
            error=error,
        )


@lru_cache(maxsize=256)
def _endpoint(model: str) -> str:
    found = _ENDPOINT.fullmatch(model)
    if found is None:
        msg = f"A model of SageMaker's is the name of an endpoint (letters, digits and hyphens, at most 63), not {model!r}."
        raise ConfigurationError(msg)
    return found[1]


def _own_headers(place: Place) -> dict[str, str]:
    if OPTION_HEADERS.keys().isdisjoint(place.options):
        return {}
    headers = {OPTION_HEADERS[name]: value for name, value in place.options.items() if name in OPTION_HEADERS}
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            msg = f"SageMaker gets the option for {name} as a header, which takes no line break and only ASCII."
            raise ConfigurationError(msg)
    return headers


def _original_status(fault: Fault) -> int:
    """Return the status that the container gave, or that of the reply where it gave none (0: it was silent for too long)."""
    original = fault.error.get("OriginalStatusCode")
    return original if isinstance(original, int) and 400 <= original < 600 else fault.status
