"""
Cohere's chat, version 2.

This file says what is asked; ``cohere_turns`` says the conversation, ``cohere_schema`` fits schemas to it, ``cohere_answers`` and
``cohere_stream`` read what comes back.

Source: Cohere API reference, "Chat API (v2)", its OpenAPI document at e814c8a1 and the package cohere 7.3.1, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.dialects import cohere_answers
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.cohere_turns import Turns, wire_names
from llmkit.dialects.wire_json import body_of, written
from llmkit.errors import UnsupportedParameterError
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo
    from llmkit.tools import Tool

__all__ = ["CohereChat"]

PARAMETERS_SAID = frozenset(PARAMETERS) - {"parallel_tool_calls", "user", "metadata"}

# Our parameter, and its name there.
NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_k": "k",
    "max_tokens": "max_tokens",
    "seed": "seed",
}

# Efforts as the most tokens of thought: Cohere has no other measure. The highest is not bounded.
BUDGETS: Mapping[str, int | None] = {"minimal": 512, "low": 2048, "medium": 8192, "high": None}

LEAST_P, MOST_P = 0.01, 0.99  # one and nothing themselves are refused
MOST_STOPS = 5
MODELS_PER_PAGE = 1000  # the most there may be in one

_ACCEPT = {False: "application/json", True: "text/event-stream"}


@frozen(kw_only=True)
class CohereChat:
    """
    Cohere's chat.

    A nucleus (``top_p``) at either end of its range is said as the next that is taken. An effort is said as a budget in tokens.

    Args:
        owner: Whose thoughts and native blocks may go back to this server: a provider's name.
    """

    name: str = "cohere_chat"
    owner: str = "cohere"
    parameters: frozenset[str] = field(default=PARAMETERS_SAID, init=False, repr=False)

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        wanted = request.response_format
        # Documents of their own and an answer in JSON exclude each other: then a document is a text like any other.
        turns = Turns(self.owner, wire_names(request.tools), documents_inline=wanted is not None)
        for message in request.messages:
            turns.add(message)
        body: dict[str, Any] = {"model": request.model, "messages": turns.finished(), "stream": request.stream}
        if turns.documents:
            body["documents"] = turns.documents
        self._add_sampling(body, request)
        if request.tools:
            self._add_tools(body, request, turns.names)
        if wanted is not None:
            self._add_format(body, request)
        if request.reasoning is not None:
            self._add_thinking(body, request.reasoning, request)
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/v2/chat",
            headers=Headers({"Content-Type": "application/json", "Accept": _ACCEPT[request.stream], **(request.extra_headers or {})}),
            body=body_of(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if "event-stream" in response.headers.get("content-type", ""):
            # A proxy that streams whether it is asked to or not.
            from llmkit.dialects.cohere_stream import decode_as_whole

            return decode_as_whole(self.owner, response, request)
        return cohere_answers.decode(self.owner, response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.cohere_stream import decoder  # not needed by those who only want whole answers

        return decoder(self.owner, response, request)

    def fault(self, response: HttpResponse) -> Fault:
        return cohere_answers.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None  # nothing is sent that the user did not ask for

    def encode_models(self, place: Place) -> HttpRequest | None:
        url = f"{place.base_url}/v1/models?endpoint=chat&page_size={MODELS_PER_PAGE}"
        return HttpRequest(method="GET", url=url, headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return cohere_answers.decode_models(response)

    # -- parameters

    def _refuse(self, what: str, parameter: str) -> None:
        msg = f"{self.owner} {what}."
        raise UnsupportedParameterError(msg, parameter, self.owner)

    def _add_sampling(self, body: dict[str, Any], request: CompletionRequest) -> None:
        for name, wire in NAMES.items():
            value = getattr(request, name)
            if value is not None:
                body[wire] = value
        if request.top_p is not None:
            body["p"] = min(max(request.top_p, LEAST_P), MOST_P)
        for name in ("frequency_penalty", "presence_penalty"):
            value = getattr(request, name)
            if value is None:
                continue
            if not 0 <= value <= 1:
                self._refuse(f"takes {name} from 0 to 1, not {value!r}", name)
            body[name] = value
        if request.stop is not None:
            if len(request.stop) > MOST_STOPS:
                self._refuse(f"takes at most {MOST_STOPS} stop sequences, not {len(request.stop)}", "stop")
            body["stop_sequences"] = list(request.stop)

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest, names: Mapping[str, str]) -> None:
        tools: Sequence[Tool] = request.tools
        choice = request.tool_choice
        if request.facts.forced_tools is False and choice not in (None, "auto"):
            if choice == "none":
                return  # the model knows no choice, but what is not offered is not called
            self._refuse(f"cannot make {request.model} call a tool: tool_choice is 'auto' or 'none' with it, not {choice!r}", "tool_choice")
        if choice == "none":
            body["tool_choice"] = "NONE"
        elif choice not in (None, "auto"):
            body["tool_choice"] = "REQUIRED"
            if choice != "required":
                # It has no word for one tool among several: the others are not offered.
                tools = [tool for tool in tools if tool.name == choice]
        # Strictness is one switch for all of them, and every one must need something.
        strict = any(tool.strict for tool in tools) and all(tool.parameters.get("required") for tool in tools)
        body["tools"] = [self._tool(tool, names, strict) for tool in tools]
        if strict:
            body["strict_tools"] = True

    def _tool(self, tool: Tool, names: Mapping[str, str], strict: bool) -> dict[str, Any]:
        parameters = tool.parameters
        if strict:
            from llmkit.dialects.cohere_schema import held_schema

            parameters = held_schema(parameters) or parameters
        function: dict[str, Any] = {"name": names.get(tool.name, tool.name), "parameters": parameters}
        if tool.description:
            function["description"] = tool.description
        return {"type": "function", "function": function}

    def _add_format(self, body: dict[str, Any], request: CompletionRequest) -> None:
        wanted = request.response_format
        assert wanted is not None  # the caller asked for it
        if "tools" in body:
            # It knows JSON without tools only: the model is told in words.
            self._say(body, _in_words(wanted.schema))
            return
        body["response_format"] = shape = {"type": "json_object"}
        if wanted.schema is None:
            return
        from llmkit.dialects.cohere_schema import held_schema

        held = held_schema(wanted.schema)
        if held is None:
            self._say(body, _in_words(wanted.schema))
        else:
            body["response_format"] = {**shape, "json_schema": held}

    def _say(self, body: dict[str, Any], text: str) -> None:
        body["messages"].insert(0, {"role": "system", "content": text})

    def _add_thinking(self, body: dict[str, Any], reasoning: str | int, request: CompletionRequest) -> None:
        if reasoning in ("none", 0):
            if request.facts.thinking != "none":
                body["thinking"] = {"type": "disabled"}
            return
        if request.facts.thinking == "none":
            self._refuse(f"has no reasoning for {request.model}, which does not think", "reasoning")
        budget = reasoning if isinstance(reasoning, int) else BUDGETS[reasoning]
        body["thinking"] = {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


def _in_words(schema: Mapping[str, Any] | None) -> str:
    if schema is None:
        return "When you have all you need, answer with JSON and nothing else."
    text = written(schema, "The response_format")
    return f"When you have all you need, answer with one JSON object and nothing else. It fits this JSON Schema:\n{text}"
