"""
What SageMaker refuses, and what its container does.

Source: botocore 1.44.5, ``sagemaker-runtime/2017-05-13/service-2.json``; huggingface/text-generation-inference at db931fcf,
``router/src/validation.rs``, ``chat.rs`` and ``lib.rs``; read 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Any

from llmkit.testing.aws import refuse_signature
from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["check"]

MAX_STOPS = 4

_ENDPOINT = re.compile(r"/endpoints/([^/]+)/")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_ROLES = ("system", "user", "assistant", "tool")
_GRAMMARS = ("json", "json_object", "json_schema", "regex")
_NATIVE = frozenset(
    {
        *("best_of", "temperature", "repetition_penalty", "frequency_penalty", "top_k", "top_p", "typical_p", "do_sample"),
        *("max_new_tokens", "return_full_text", "stop", "truncate", "watermark", "details", "decoder_input_details", "seed"),
        *("top_n_tokens", "grammar", "adapter_id"),
    }
)


def check(request: RecordedRequest) -> Reply | None:
    """Return the refusal of *request*, or None."""
    refusal = refuse_signature(request, service="sagemaker")
    if refusal is not None:
        return refusal
    named = _ENDPOINT.match(request.endpoint)
    if named is None or _NAME.fullmatch(named[1]) is None:
        message = "1 validation error detected: Value at 'endpointName' failed to satisfy constraint"
        return Reply(status=400, failure=Failure(type="ValidationError", message=message))
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _unread("Expected request with `Content-Type: application/json`", status=415)
    try:
        body = request.json
    except ValueError:
        return _unread("Failed to parse the request body as JSON: expected value at line 1 column 1", status=400)
    if not isinstance(body, dict) or not ("inputs" in body or "messages" in body):
        return _unread("data did not match any variant of untagged enum SagemakerRequest")
    return _check_native(body) if "inputs" in body else _check_chat(body)


def _unread(message: str, status: int = 422) -> Reply:
    """Return the refusal of a body that does not even fit the types: in plain text."""
    text = f"Failed to deserialize the JSON body into the target type: {message}" if status == 422 else message
    return Reply(status=424, failure=Failure(type="text", code=status, message=text))


def _invalid(message: str, kind: str = "validation") -> Reply:
    return Reply(status=424, failure=Failure(type=kind, code=422, message=f"Input validation error: {message}"))


def _check_native(body: dict[str, Any]) -> Reply | None:
    if not isinstance(body["inputs"], str):
        return _unread("inputs: invalid type, expected a string")
    if not body["inputs"]:
        return _invalid("`inputs` cannot be empty")
    parameters = mapping(body.get("parameters"))
    unknown = sorted(set(parameters) - _NATIVE)
    if unknown:
        # The container itself passes over them; a client that sends them is wrong all the same.
        return _unread(f"parameters: unknown field `{unknown[0]}`")
    temperature, top_p, top_k = (parameters.get(name) for name in ("temperature", "top_p", "top_k"))
    if temperature is not None and not temperature > 0:
        return _invalid("`temperature` must be strictly positive")
    if top_p is not None and not 0 < top_p < 1:
        return _invalid("`top_p` must be > 0.0 and < 1.0")
    if top_k is not None and not top_k > 0:
        return _invalid("`top_k` must be strictly positive")
    if body.get("stream") and parameters.get("decoder_input_details"):
        return _invalid("`decoder_input_details` == true is not supported when streaming tokens")
    return _check_common(parameters, "max_new_tokens", "grammar")


def _check_chat(body: dict[str, Any]) -> Reply | None:
    messages = rows(body.get("messages"))
    if not messages or len(messages) != len(body["messages"]):
        return _unread("messages: invalid type, expected a sequence of messages")
    if any(message.get("role") not in _ROLES for message in messages):
        return _invalid("Template error: unknown role", "template_error")
    if any("content" not in message and not message.get("tool_calls") for message in messages):
        return _unread("data did not match any variant of untagged enum MessageBody")
    choice = mapping(mapping(body.get("tool_choice")).get("function")).get("name")
    if choice is not None and choice not in [mapping(tool.get("function")).get("name") for tool in rows(body.get("tools"))]:
        return _invalid(f"Tool with name {choice} not found", "tool_error")
    return _check_common(body, "max_tokens", "response_format")


def _check_common(given: dict[str, Any], limit: str, grammar: str) -> Reply | None:
    stops = given.get("stop") or []
    if len(stops) > MAX_STOPS:
        return _invalid(f"`stop` supports up to {MAX_STOPS} stop sequences. Given: {len(stops)}")
    if given.get(limit) is not None and not given[limit] > 0:
        return _invalid("`max_new_tokens` must be strictly positive")
    if (given.get("seed") or 0) < 0:
        return _unread("seed: invalid value: integer, expected u64")
    wanted = given.get(grammar)
    if wanted is not None and (mapping(wanted).get("type") not in _GRAMMARS or "value" not in wanted):
        # OpenAI's own shape does not parse here.
        return _unread(f"{grammar}: missing field `value`")
    return None
