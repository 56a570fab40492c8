"""
Amazon Bedrock: Converse and InvokeModel for Claude, whole and as streams, counting of tokens, and the control plane's lists.

Source: AWS, "Amazon Bedrock API reference", by botocore 1.44.5, and traffic recorded by pydantic-ai; read 2026-11-21.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from llmkit.testing.replies import Event, Failure, RecordedRequest, Reply, ToolUse
from llmkit.testing.wires import anthropic
from llmkit.testing.wires.anthropic_checks import check_messages
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes
from llmkit.testing.wires.bedrock_checks import check_access, check_converse, check_model, model_in, refuse
from llmkit.testing.wires.bedrock_history import seals_thoughts, thought_seal
from llmkit.testing.wires.frames import event_frame, frame, scripted_frame
from llmkit.testing.wires.openai_answers import Answer, answer, cut_words
from llmkit.testing.wires.openai_checks import mapping, rows, text_of
from llmkit.testing.wires.words import BEDROCK

__all__ = ["WIRE"]

STREAM_TYPE = "application/vnd.amazon.eventstream"
_INPUT_PIECE = 12  # characters of a tool call's input per stream event
_PADDING = "abcdefghijklmnopqrstuvwxyz"
_COUNTED = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
_numbers = itertools.count(1)

# Status: exception and message, for errors of which the script says no more.
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("ValidationException", "The request is invalid."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
    408: ("ModelTimeoutException", "Model has timed out in processing the request. Try your request again."),
    424: ("ModelErrorException", "The system encountered an unexpected error during processing. Try your request again."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The system encountered an unexpected error during processing. Try your request again."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

MODELS = (
    ("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", "Anthropic"),
    ("anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", "Anthropic"),
    ("amazon.nova-lite-v1:0", "Nova Lite", "Amazon"),
    ("openai.gpt-oss-120b-1:0", "gpt-oss-120b", "OpenAI"),
)


def _headers(reply: Reply) -> dict[str, str]:
    return {"x-amzn-requestid": reply.request_id or f"00000000-0000-4000-8000-{next(_numbers):012d}"}


def _whole(reply: Reply, data: Any, headers: Mapping[str, str] | None = None) -> Rendered:
    """Return a JSON answer; without *data*, one without a body."""
    return Rendered(status=reply.status, headers={**_headers(reply), **(headers or {})}, body=() if data is None else (json_bytes(data),))


def _streamed(reply: Reply, frames: Iterator[bytes], headers: Mapping[str, str] | None = None) -> Rendered:
    return Rendered(
        status=reply.status,
        content_type=STREAM_TYPE,
        headers={**_headers(reply), **(headers or {})},
        body=tuple(frames),
        streamed=True,
    )


def _frame(event: Event) -> bytes:
    """
    Return the frame of *event*: a mapping from its name, or that of an exception, to its payload; or one that writes out its headers.

    Bytes are sent as they are.
    """
    if not isinstance(event, Mapping):
        return event if isinstance(event, bytes) else event.encode()
    scripted = scripted_frame(event)
    if scripted is not None:
        return scripted
    ((name, payload),) = event.items()
    if not name.endswith("Exception"):
        return event_frame(name, json_bytes(payload))
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json_bytes(payload))


def _written_out(reply: Reply) -> Rendered | None:
    """Return what the script wants sent as it is, if anything."""
    if reply.events is not None:
        return _streamed(reply, map(_frame, reply.events))
    if reply.raw is not None:
        return _whole(reply, reply.raw)
    if reply.status < 200 or reply.status == 204 or 300 <= reply.status < 400:
        return _whole(reply, None)
    return None


# Errors.


def render_error(_: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error as AWS sends it: its name in a header, its message in the body."""
    written = _written_out(reply)
    failure = reply.failure or Failure()
    kind, message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    kind = str(failure.type or failure.code or kind)
    named = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    if written is not None:
        return written
    return _whole(reply, {"message": message if failure.message is None else failure.message}, named)


def unauthorized(request: RecordedRequest) -> Reply:
    """Return the refusal of a missing or unknown key."""
    if request.key is None:
        return Reply(status=403, failure=Failure(type="MissingAuthenticationTokenException", message="Missing Authentication Token"))
    if request.headers.get("authorization", "").startswith("AWS4-"):
        message = "The security token included in the request is invalid."
        return Reply(status=403, failure=Failure(type="UnrecognizedClientException", message=message))
    message = "Authentication failed: Please make sure your API Key is valid."
    return Reply(status=403, failure=Failure(type="AccessDeniedException", message=message))


# Converse.


def render_converse(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer, whole or as a stream, as the operation says."""
    written = _written_out(reply)
    if written is not None:
        return written
    body = _body(request)
    model = model_in(request)
    said = _said(body, reply, model)
    conversation = _Conversation(
        said=said,
        blocks=tuple(_blocks(said, model)),
        reason=_reason(said, reply, body),
        tail={"usage": _usage(said, reply), "metrics": {"latencyMs": 42}},
    )
    if request.endpoint.endswith("-stream"):
        return _streamed(reply, map(_frame, conversation.events()))
    return _whole(reply, conversation.whole())


def _body(request: RecordedRequest) -> dict[str, Any]:
    """Return the decoded body; whatever is none counts as empty, since a script may answer it all the same."""
    try:
        return mapping(request.json)
    except ValueError:
        return {}


def _said(body: dict[str, Any], reply: Reply, model: str) -> Answer:
    """Return what the model says, which is the same on every wire, to what it is asked in the words of another."""
    config = mapping(body.get("toolConfig"))
    specs = [mapping(tool.get("toolSpec")) for tool in rows(config.get("tools"))]
    choice = mapping(config.get("toolChoice"))
    bounds = mapping(body.get("inferenceConfig"))
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": _last_words(body)}],
        "tools": [
            {"function": {"name": spec.get("name"), "parameters": mapping(mapping(spec.get("inputSchema")).get("json"))}} for spec in specs
        ],
        "stop": bounds.get("stopSequences"),
        "max_tokens": bounds.get("maxTokens"),
    }
    if "any" in choice:
        asked["tool_choice"] = "required"
    elif "tool" in choice:
        asked["tool_choice"] = {"function": {"name": mapping(choice["tool"]).get("name")}}
    wanted = mapping(mapping(mapping(mapping(body.get("outputConfig")).get("textFormat")).get("structure")).get("jsonSchema"))
    if "schema" in wanted:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": json.loads(wanted["schema"])}}
    known = evolve(reply, tool_calls=map(_with_id, reply.tool_calls), usage=None)
    said = answer(asked, known, model=model)
    return said if known.tool_calls else evolve(said, calls=tuple(_with_id(evolve(call, id=None)) for call in said.calls))


def _with_id(call: ToolUse) -> ToolUse:
    return call if call.id is not None else evolve(call, id=f"tooluse_fake{next(_numbers):08d}")


def _last_words(body: dict[str, Any]) -> str:
    texts = [_text_in(turn) for turn in rows(body.get("messages")) if turn.get("role") == "user"]
    return next((text for text in reversed(texts) if text), "")


def _text_in(turn: Mapping[str, Any]) -> str:
    return text_of([{"type": "text", "text": block["text"]} for block in rows(turn.get("content")) if isinstance(block.get("text"), str)])


def _blocks(said: Answer, model: str) -> Iterator[dict[str, Any]]:
    if said.thinking:
        seal = {"signature": thought_seal(said.thinking)} if seals_thoughts(model) else {}
        yield {"reasoningContent": {"reasoningText": {"text": said.thinking, **seal}}}
    text = said.text if said.refusal is None else said.refusal
    if text:
        yield {"text": text}
    for call in said.calls:
        # Arguments that are no JSON can be shown in a stream only.
        arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": dict(arguments)}}


def _reason(said: Answer, reply: Reply, body: Mapping[str, Any]) -> str:
    if reply.finish_reason:
        return reply.finish_reason
    if said.refusal is not None:
        return "guardrail_intervened"
    stops = mapping(body.get("inferenceConfig")).get("stopSequences") or ()
    echo = f"You said: {_last_words(dict(body))}"
    if said.finish_reason == "stop" and not reply.says_something and any(stop in echo for stop in stops):
        return "stop_sequence"
    return _REASONS.get(said.finish_reason, said.finish_reason)


def _usage(said: Answer, reply: Reply) -> dict[str, Any]:
    usage = {
        "inputTokens": said.usage["prompt_tokens"],
        "outputTokens": said.usage["completion_tokens"],
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 0,
        **(reply.usage or {}),
    }
    counted = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return {"totalTokens": sum(usage[name] for name in counted), **usage}


@frozen(kw_only=True)
class _Conversation:
    """One answer, which can be sent in two ways."""

    said: Answer
    blocks: tuple[dict[str, Any], ...]
    reason: str
    tail: dict[str, Any]

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": list(self.blocks)}
        return {"output": {"message": message}, "stopReason": self.reason, **self.tail}

    def events(self) -> Iterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant", "p": _PADDING[:5]}}
        for index, block in enumerate(self.blocks):
            yield from self._block(index, block)
        yield {"messageStop": {"stopReason": self.reason, "p": _PADDING[:3]}}
        yield {"metadata": {**self.tail, "p": _PADDING[:9]}}

    def _block(self, index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # Texts and thoughts are not announced.
        if "toolUse" in block:
            start = {key: block["toolUse"][key] for key in ("toolUseId", "name")}
            yield {"contentBlockStart": {"start": {"toolUse": start}, "contentBlockIndex": index, "p": _PADDING[:7]}}
        for number, delta in enumerate(self._deltas(block)):
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index, "p": _PADDING[: number % 26]}}
        yield {"contentBlockStop": {"contentBlockIndex": index, "p": _PADDING[:2]}}

    def _deltas(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "text" in block:
            pieces = self.said.pieces if self.said.refusal is None else cut_words(block["text"])
            yield from ({"text": piece} for piece in pieces or ())
        elif "toolUse" in block:
            text = next(call.arguments_text for call in self.said.calls if call.id == block["toolUse"]["toolUseId"])
            text = "" if text == "{}" else text
            for start in range(0, len(text), _INPUT_PIECE):
                yield {"toolUse": {"input": text[start : start + _INPUT_PIECE]}}
        else:
            thought = block["reasoningContent"]["reasoningText"]
            yield from ({"reasoningContent": {"text": piece}} for piece in cut_words(thought["text"]))
            if "signature" in thought:
                yield {"reasoningContent": {"signature": thought["signature"]}}


# InvokeModel, with Claude's own wire inside.

_INVOKE_VERSIONS = ("bedrock-2023-05-31", "2026-10-21")


def _enclosed(request: RecordedRequest) -> RecordedRequest:
    """Return the request that the body of an invocation is, as Anthropic would get it."""
    body = {key: value for key, value in _body(request).items() if key not in ("anthropic_version", "anthropic_beta")}
    streamed = {"stream": True} if request.endpoint.endswith("-stream") else {}
    said = {**body, "model": model_in(request), **streamed}
    return evolve(request, body=json_bytes(said), headers={**request.headers, "anthropic-version": "2023-06-01"})


def check_invoke(request: RecordedRequest) -> Reply | None:
    """Return the refusal of an invocation, or None."""
    refusal = check_access(request) or check_model(model_in(request))
    if refusal is not None:
        return refusal
    try:
        body = request.json
    except ValueError:
        return refuse("Malformed input request, please reformat your input and try again.")
    for name in ("model", "stream"):
        if name in mapping(body):
            return refuse(
                f"Malformed input request: #: extraneous key [{name}] is not permitted, please reformat your input and try again."
            )
    if mapping(body).get("anthropic_version") not in _INVOKE_VERSIONS:
        return refuse("anthropic_version: Field required")
    if "anthropic-beta" in request.headers or "anthropic-version" in request.headers:
        return refuse("Versions and betas of Anthropic's are named in the body here.")
    inner = check_messages(_enclosed(request))
    return None if inner is None or inner.failure is None else refuse(str(inner.failure.message))


def render_invoke(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an answer of Claude's, whole or in the chunks of a stream."""
    if reply.events is not None:
        return _streamed(reply, map(_chunk_or_frame, reply.events))
    inner = anthropic.render_message(_enclosed(request), evolve(reply, id=reply.id or f"msg_bdrk_fake{next(_numbers):08d}"))
    if not inner.streamed:
        return Rendered(status=inner.status, headers=_headers(reply), body=inner.body)
    return _streamed(reply, (_chunk(piece.partition(b"data: ")[2].strip()) for piece in inner.body))


def _chunk_or_frame(event: Event) -> bytes:
    """Return *event* in a chunk if it is Anthropic's, and else as a frame of its own, such as that of an exception."""
    return _chunk(json_bytes(event)) if isinstance(event, Mapping) and "type" in event else _frame(event)


def _chunk(event: bytes) -> bytes:
    return _frame({"chunk": {"bytes": base64.b64encode(event).decode(), "p": _PADDING[:4]}})


# Tokens, and the control plane.


def check_counting(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request to count tokens, or None."""
    refusal = check_access(request) or check_model(model_in(request))
    if refusal is not None:
        return refusal
    if "claude" not in model_in(request):
        return refuse("The provided model doesn't support counting tokens.")
    given = mapping(_body(request).get("input"))
    if len(given) != 1 or not given.keys() <= {"converse", "invokeModel"}:
        return refuse("Exactly one of 'converse' and 'invokeModel' must be given as the input.")
    unknown = sorted(mapping(given.get("converse")).keys() - _COUNTED)
    return refuse(f"Unknown field in the input: {unknown[0]}.") if unknown else None


def render_count(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return how many tokens a request would have."""
    given = mapping(_body(request).get("input"))
    asked = given.get("converse") or json.loads(base64.b64decode(mapping(given.get("invokeModel")).get("body", "") or b"e30="))
    count = sum((_text_in(turn) or text_of(turn.get("content"))).count(" ") + 4 for turn in rows(mapping(asked).get("messages")))
    return _written_out(reply) or _whole(reply, {"inputTokens": max(count, 1)})


def render_models(_: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of models."""
    return _written_out(reply) or _whole(reply, {"modelSummaries": [_row(*model) for model in MODELS]})


def render_profiles(_: RecordedRequest, reply: Reply) -> Rendered:
    """Return the list of inference profiles."""
    profiles = [{"inferenceProfileId": f"us.{model}", "status": "ACTIVE", "type": "SYSTEM_DEFINED"} for model, _, _ in MODELS]
    return _written_out(reply) or _whole(reply, {"inferenceProfileSummaries": profiles})


def _row(model: str, name: str, provider: str) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model}",
        "modelId": model,
        "modelName": name,
        "providerName": provider,
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r"/model/[^/]+/converse(?:-stream)?"), check=check_converse, render=render_converse),
        Route(
            method="POST",
            path=re.compile(r"/model/(?![^/]*embed)[^/]+/invoke(?:-with-response-stream)?"),
            check=check_invoke,
            render=render_invoke,
        ),
        Route(method="POST", path=re.compile(r"/model/[^/]+/count-tokens"), check=check_counting, render=render_count),
        Route(method="GET", path=re.compile(r"/foundation-models"), check=check_access, render=render_models),
        Route(method="GET", path=re.compile(r"/inference-profiles"), check=check_access, render=render_profiles),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    words=BEDROCK,
    providers=frozenset({"bedrock"}),
    bases={"bedrock": ""},
)
