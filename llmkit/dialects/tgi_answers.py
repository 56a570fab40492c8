"""
Reading what Text Generation Inference says: whole answers and errors.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen.

Source: huggingface/text-generation-inference at db931fcf, ``router/src/lib.rs`` and ``server.rs``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.wire_json import at, beginning, count, label, word
from llmkit.models.content import Message, Text
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse

__all__ = ["decode", "finish_reason", "made", "read_fault", "read_usage", "refuse_error"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}


def decode(response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    if not response.body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        value = loads(response.body)
    except FramingError as error:
        raise WireError.malformed(f"The reply cannot be read: {error}.", response) from None
    # One answer per prompt: a list where the pipeline takes several, an object where it does not.
    answer = value[0] if isinstance(value, list) and value else value
    if not isinstance(answer, dict):
        raise WireError.malformed("The reply is no answer.", response)
    refuse_error(answer, response)
    text = answer.get("generated_text")
    if not isinstance(text, str):
        raise WireError.malformed("The reply has no generated_text.", response)
    return made(text, answer.get("details"), response, request.model, value)


def made(text: str, details: Any, response: HttpResponse, model: str, raw: Any) -> CompletionResponse:
    """Return the answer *text*, of which *details* say more."""
    reason = word(at(details, "finish_reason"))
    return CompletionResponse(
        message=Message("assistant", (Text(text),) if text else ()),
        finish_reason=finish_reason(reason),
        raw_finish_reason=reason or None,
        usage=read_usage(details),
        model=model,
        request_id=request_id(response.headers),
        raw=raw,
    )


def finish_reason(reason: str) -> FinishReason:
    return FINISH_REASONS.get(reason, FinishReason.UNKNOWN)


def read_usage(details: Any) -> Usage:
    """Return the tokens that *details* count. The prompt's are in a stream's last event, or one by one where that was asked for."""
    written = at(details, "generated_tokens")
    if not isinstance(written, int):
        return UNREPORTED
    prefill = at(details, "prefill")
    read = count(at(details, "input_length")) or (len(prefill) if isinstance(prefill, list) else 0)
    return Usage(input_tokens=read, output_tokens=count(written), reported=read > 0)


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    text = response.body.decode("utf-8", "replace")
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body if isinstance(body, dict) else {}, response, text)


def refuse_error(answer: Mapping[str, Any], response: HttpResponse, text: str | None = None) -> None:
    """Raise ``WireError`` if *answer* is an error in truth; *text* is what it was read from, where that is not the body."""
    if answer.get("error"):
        raise WireError(_fault(answer, response, response.body.decode("utf-8", "replace") if text is None else text))


def _fault(body: Mapping[str, Any], response: HttpResponse, text: str) -> Fault:
    error = body.get("error")
    inner = error if isinstance(error, dict) else body
    return Fault(
        status=response.status,
        message=word(error) or word(inner.get("message")) or beginning(text),
        code=label(inner.get("http_status_code")) or label(inner.get("code")),
        type=label(inner.get("error_type")) or label(inner.get("type")),
        request_id=request_id(response.headers),
        headers=response.headers,
        error=inner,
        body=text,
    )
