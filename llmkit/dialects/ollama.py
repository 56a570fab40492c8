"""
Ollama's own wire: ``/api/chat``, with answers in lines of JSON.

This file says requests; ``ollama_answers`` and ``ollama_stream`` read what comes back, ``ollama_schema`` fits schemas to it.

Source: Ollama, docs/api.md, api/types.go and server/routes.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.dialects import ollama_answers
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.wire_json import body_of, written
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["OllamaChat"]

# Our parameter, and its name among the options.
OPTIONS: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}

# Efforts as the field ``think`` has them: its least is "low".
EFFORTS: Mapping[str, str | bool] = {"none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high"}

PARAMETERS_SAID = frozenset(PARAMETERS) - {"parallel_tool_calls", "user", "metadata"}

_ACCEPT = {False: "application/json", True: "application/x-ndjson"}


@frozen(kw_only=True)
class OllamaChat:
    """
    Ollama's chat.

    A prompt that is longer than the model's window is refused rather than cut, which is what the server does unless told otherwise;
    ``extra_body={"truncate": True}`` lets it.

    Args:
        owner: Whose thoughts and native blocks may go back to this server: a provider's name.
    """

    name: str = "ollama_chat"
    owner: str = "ollama"
    parameters: frozenset[str] = field(default=PARAMETERS_SAID, init=False, repr=False)

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        messages = self._messages(request)
        # Streaming is the server's default, so it is always said.
        body: dict[str, Any] = {"model": request.model, "messages": messages, "stream": request.stream, "truncate": False}
        options = {wire: value for name, wire in OPTIONS.items() if (value := getattr(request, name)) is not None}
        if request.stop is not None:
            options["stop"] = list(request.stop)
        if options:
            body["options"] = options
        if request.tools:
            self._add_tools(body, request)
        if request.response_format is not None:
            self._add_format(body, request)
        if request.reasoning is not None:
            body["think"] = self._think(request)
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/api/chat",
            headers=Headers({"Content-Type": "application/json", "Accept": _ACCEPT[request.stream], **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if "ndjson" in response.headers.get("content-type", ""):
            # A proxy that streams whether it is asked to or not.
            from llmkit.dialects.ollama_stream import decode_as_whole

            return decode_as_whole(self.owner, response, request)
        return ollama_answers.decode(self.owner, response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.ollama_stream import ChatLines  # not needed by those who only want whole answers

        return ChatLines(owner=self.owner, answer_to=response, asked=request.model)

    def fault(self, response: HttpResponse) -> Fault:
        return ollama_answers.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None  # nothing is sent that the user did not ask for and an old server would refuse: it passes over what it does not know

    def encode_models(self, place: Place) -> HttpRequest | None:
        return HttpRequest(method="GET", url=f"{place.base_url}/api/tags", headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return ollama_answers.decode_models(response)

    # -- parameters

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest) -> None:
        choice = request.tool_choice
        if choice == "none":
            return  # what is not offered is not called
        if choice not in (None, "auto"):
            msg = f"{self.owner} cannot make a model call a tool: tool_choice is 'auto' or 'none' here, not {choice!r}."
            raise UnsupportedParameterError(msg, "tool_choice", self.owner)
        from llmkit.dialects.ollama_schema import for_template

        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": for_template(tool.parameters)},
            }
            for tool in request.tools
        ]

    def _add_format(self, body: dict[str, Any], request: CompletionRequest) -> None:
        wanted = request.response_format
        assert wanted is not None  # the caller asked for it
        if "tools" in body:
            # A format would bind the text of calls too, so that none could be made: the model is told in words.
            _add_to_last_question(body["messages"], _in_words(wanted.schema))
        elif wanted.schema is None:
            body["format"] = "json"
        else:
            from llmkit.dialects.ollama_schema import for_grammar

            body["format"] = for_grammar(wanted.schema)

    def _think(self, request: CompletionRequest) -> str | bool:
        reasoning = request.reasoning
        if isinstance(reasoning, int) and reasoning > 0:
            msg = f"{self.owner} takes reasoning as one of {', '.join(EFFORTS)}; it has no budget in tokens."
            raise UnsupportedParameterError(msg, "reasoning", self.owner)
        think = EFFORTS[str(reasoning or "none")]
        if think is False and request.facts.can_stop_thinking is False:
            msg = f"{request.model} cannot be kept from thinking: reasoning is one of {', '.join(request.facts.efforts)} with it."
            raise UnsupportedParameterError(msg, "reasoning", self.owner)
        return think

    # -- messages

    def _messages(self, request: CompletionRequest) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        waiting: list[ToolResult] = []
        calls: dict[str, ToolCall] = {}  # by id, in their order
        for message in request.messages:
            if message.role == "assistant":
                self._add_results(wire, waiting, calls)
                wire.append(self._assistant(message))
                for call in message.tool_calls:
                    calls.pop(call.id, None)  # of an id that came twice, the last stands where it was said last
                    calls[call.id] = call
                continue
            results = [part for part in message.content if isinstance(part, ToolResult)]
            waiting += results
            rest = [part for part in message.content if not isinstance(part, ToolResult)] if results else message.content
            if message.role == "tool" and (rest or not results):
                msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
                raise ConfigurationError(msg)
            if rest or not results:
                self._add_results(wire, waiting, calls)
                wire.append(self._turn(message, rest))
        self._add_results(wire, waiting, calls)
        return wire

    def _add_results(self, wire: list[dict[str, Any]], waiting: list[ToolResult], calls: Mapping[str, ToolCall]) -> None:
        """Write *waiting* results in the order of their calls, which is all that most models' templates tell them apart by."""
        if not waiting:
            return
        order = {call_id: index for index, call_id in enumerate(calls)}
        for result in sorted(waiting, key=lambda result: order.get(result.call_id, len(order))):
            asked = calls.get(result.call_id)
            name = result.name or (asked.name if asked is not None else "")
            wire.append(self._tool_message(result, name))
        waiting.clear()

    def _tool_message(self, result: ToolResult, name: str) -> dict[str, Any]:
        turn = self._said("tool", result.content)
        if result.is_error and not turn["content"].lower().startswith("error"):
            turn["content"] = f"Error: {turn['content']}"  # the wire has no flag for it
        if name:
            turn["tool_name"] = name
        turn["tool_call_id"] = result.call_id
        return turn

    def _turn(self, message: Message, parts: Iterable[Part]) -> dict[str, Any]:
        self._refuse_name(message)
        return self._said(message.role, parts)

    def _refuse_name(self, message: Message) -> None:
        if message.name:
            msg = f"{self.owner} has no place for the name of a speaker: say it in the text instead of with name={message.name!r}."
            raise ConfigurationError(msg)

    def _said(self, role: str, parts: Iterable[Part]) -> dict[str, Any]:
        texts: list[str] = []
        images: list[str] = []
        own: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part, Image):
                images.append(self._image(part))
            elif isinstance(part, Document):
                texts.append(self._document(part))
            elif isinstance(part, Native):
                own.update(self._own(part))
            elif not isinstance(part, Thinking):
                msg = f"{self.owner} takes text and pictures; a {type(part).__name__} cannot stand in this message."
                raise ConfigurationError(msg)
        turn: dict[str, Any] = {"role": role, "content": "\n".join(texts)}
        if images:
            turn["images"] = images
        return {**turn, **own} if own else turn

    def _image(self, image: Image) -> str:
        if image.data is None:
            msg = f"{self.owner} takes pictures as data only: use Image.from_path() or Image(data=..., media_type=...)."
            raise ConfigurationError(msg)
        return image.base64()

    def _document(self, document: Document) -> str:
        if document.data is None or not (document.media_type or "").startswith("text/"):
            msg = f"{self.owner} takes documents only as text: take it out of the file, or use Document(data=..., media_type='text/plain')."
            raise ConfigurationError(msg)
        return document.data.decode("utf-8", "replace")

    def _own(self, part: Native) -> Mapping[str, Any]:
        """Return the fields of a message that *part* stands for; none of another provider's."""
        if part.provider != self.owner:
            return {}
        if not isinstance(part.data, Mapping):
            msg = f"A Native part for {self.owner} holds further fields of the message, as a dict."
            raise ConfigurationError(msg)
        return part.data

    def _assistant(self, message: Message) -> dict[str, Any]:
        self._refuse_name(message)
        turn: dict[str, Any] = {"role": "assistant", "content": message.text}
        thoughts = ""
        calls: list[dict[str, Any]] = []
        for part in message.content:
            if isinstance(part, Thinking):
                thoughts += part.text if part.provider in (None, self.owner) else ""
            elif isinstance(part, ToolCall):
                calls.append(_call(part))
            elif isinstance(part, Native):
                turn.update(self._own(part))
            elif not isinstance(part, Text):
                msg = f"An assistant's message cannot hold a {type(part).__name__} here: it is made of text, thinking and tool calls."
                raise ConfigurationError(msg)
        if thoughts:
            turn["thinking"] = thoughts
        if calls:
            turn["tool_calls"] = calls
        return turn


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = dict(call.arguments)
    if call.invalid is not None:
        # The wire takes objects only; what the model wrote stays to be seen by it.
        arguments = {"invalid_arguments": call.text}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _in_words(schema: Mapping[str, Any] | None) -> str:
    if schema is None:
        return "When you have all you need, answer with JSON and nothing else."
    text = written(schema, "The response_format")
    return f"When you have all you need, answer with one JSON object and nothing else. It fits this JSON Schema:\n{text}"


def _add_to_last_question(wire: list[dict[str, Any]], text: str) -> None:
    # Not as a system message: one at the beginning would take the place of the one that the model brings along.
    for turn in reversed(wire):
        if turn["role"] == "user":
            turn["content"] = f"{turn['content']}\n\n{text}" if turn["content"] else text
            return
    wire.append({"role": "user", "content": text})
