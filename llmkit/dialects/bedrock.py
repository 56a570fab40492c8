"""
Amazon Bedrock's Converse: one wire for the models of many makers.

What differs between makers are the rules of a family, which the provider's row hands in; what differs between models is in the facts of
the request. This file says requests, ``bedrock_turns`` the conversations in them and ``bedrock_media`` what is no text in these;
``bedrock_answers`` and ``bedrock_stream`` read what comes back.

Source: AWS, "Amazon Bedrock API reference", operations Converse, ConverseStream and ListFoundationModels, by botocore 1.44.5;
pydantic-ai at 4fda389, ``models/bedrock.py``; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field

from llmkit.dialects import bedrock_answers
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.bedrock_turns import fit_tool_name, write_turns
from llmkit.dialects.claude_thinking import thinking_fields
from llmkit.dialects.wire_json import body_of, written
from llmkit.errors import UnsupportedParameterError
from llmkit.models.converse import UNKNOWN_FAMILY, ConverseRules
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo
    from llmkit.structured import ResponseFormat
    from llmkit.tools import Tool

__all__ = ["BedrockConverse"]

# What the wire has no word for, nor any family.
UNKNOWN = frozenset({"seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "user"})

# Efforts in the words of those who know three. (Claude's are another matter.)
EFFORTS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}

# The wire has no word for it; a turn that only says so leaves what stands before it as it was.
NO_TOOLS = "Answer without calling a tool."

_RUNTIME = re.compile(r"^(https?://bedrock)-runtime(?=[.-])")


def _unknown_family(_model: str) -> ConverseRules:
    return UNKNOWN_FAMILY


@frozen(kw_only=True)
class BedrockConverse:
    """
    Converse.

    Args:
        owner: Whose thoughts and native blocks may go back to this service: a provider's name.
        rules: Gives the rules of the family that a model's id is of.
    """

    name: str = "bedrock_converse"
    owner: str = "bedrock"
    rules: Callable[[str], ConverseRules] = field(default=_unknown_family, repr=False)
    parameters: frozenset[str] = field(default=frozenset(PARAMETERS) - UNKNOWN, init=False, repr=False)

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        operation = "converse-stream" if request.stream else "converse"
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/model/{_quoted(request.model)}/{operation}",
            # A stream answers in a type of its own, whatever is accepted.
            headers=Headers({"Content-Type": "application/json", "Accept": "application/json", **(request.extra_headers or {})}),
            body=body_of(merged(self.body(request, place.options.get("beta")), request.extra_body)),
        )

    def body(self, request: CompletionRequest, betas: str | None = None) -> dict[str, Any]:
        """Return the body of *request*, without what the caller lays over it. *betas* are names joined by commas."""
        rules = self.rules(request.model)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import asking_by_tool

            request = asking_by_tool(request)
        body: dict[str, Any] = {}
        wanted = request.response_format
        instruction = None if wanted is None else self._add_format(body, wanted, request, rules)
        forbids = request.tool_choice == "none" or not request.tools
        turns = write_turns(request, owner=self.owner, rules=rules, instruction=instruction, reminder=NO_TOOLS if forbids else None)
        body["messages"] = turns.turns
        if turns.system:
            body["system"] = turns.system
        self._add_sampling(body, request, rules)
        if request.tools or turns.called:
            self._add_tools(body, request, rules, turns.called)
        if request.metadata:
            body["requestMetadata"] = dict(request.metadata)
        more = self._reasoning(request, rules)
        if request.top_k is not None:
            more = merged(more, self._top_k(request.top_k, request, rules))
        if betas:
            if not rules.betas:
                self._refuse_more("the option 'beta'", request)
            more[rules.betas] = betas.replace(" ", "").split(",")
        if more:
            body["additionalModelRequestFields"] = more
        self._check_forced(request, more)
        return body

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        answer = self._decoded(response, request)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import as_answer

            return as_answer(answer)
        return answer

    def _decoded(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if bedrock_answers.is_stream(response):
            # A proxy that streams whether it is asked to or not.
            from llmkit.dialects.bedrock_stream import decode_as_whole

            return decode_as_whole(self.owner, response, request.model)
        return bedrock_answers.decode(self.owner, response, request.model)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.bedrock_stream import decoder  # not needed by those who only want whole answers

        made = decoder(self.owner, response, request.model)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import ToolDecoder

            return ToolDecoder(made)
        return made

    def fault(self, response: HttpResponse) -> Fault:
        from llmkit.dialects.aws_faults import read_fault

        return read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None  # all that is sent was asked for, or is demanded

    def encode_models(self, place: Place) -> HttpRequest | None:
        # The control plane is another host beside the runtime's; behind an address of the user's own both are one.
        base = _RUNTIME.sub(r"\1", place.base_url)
        return HttpRequest(method="GET", url=f"{base}/foundation-models", headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return bedrock_answers.decode_models(response)

    # -- parameters

    def _refuse(self, what: str, parameter: str) -> NoReturn:
        msg = f"{self.owner} {what}."
        raise UnsupportedParameterError(msg, parameter, self.owner)

    def _add_sampling(self, body: dict[str, Any], request: CompletionRequest, rules: ConverseRules) -> None:
        said: dict[str, Any] = {}
        if request.max_tokens is not None:
            said["maxTokens"] = request.max_tokens
        if request.temperature is not None:
            if request.temperature > 1:
                self._refuse(f"takes a temperature from 0 to 1, not {request.temperature!r}", "temperature")
            said["temperature"] = request.temperature
        if request.top_p is not None:
            if request.temperature is not None and "one_sampler" in request.facts.traits:
                self._refuse(f"takes temperature or top_p for {request.model}, not both", "top_p")
            said["topP"] = request.top_p
        if request.stop is not None:
            said["stopSequences"] = list(request.stop)
        if said:
            body["inferenceConfig"] = said

    def _top_k(self, top_k: int, request: CompletionRequest, rules: ConverseRules) -> dict[str, Any]:
        if not rules.top_k:
            self._refuse_more("top_k", request)
        said: Any = top_k
        for key in reversed(rules.top_k):
            said = {key: said}
        found: dict[str, Any] = said
        return found

    def _refuse_more(self, parameter: str, request: CompletionRequest) -> NoReturn:
        self._refuse(
            f"has no word for {parameter} that would be known of {request.model}: say it as the model does, in "
            "extra_body={'additionalModelRequestFields': {...}}",
            parameter,
        )

    def _reasoning(self, request: CompletionRequest, rules: ConverseRules) -> dict[str, Any]:
        reasoning, kind = request.reasoning, rules.reasoning
        if reasoning is None:
            return {}
        if kind == "claude":
            max_tokens = request.max_tokens if request.max_tokens is not None else request.facts.max_output_tokens
            return thinking_fields(request, owner=self.owner, max_tokens=max_tokens)
        if kind is None:
            self._refuse_more("reasoning", request)
        if reasoning in ("none", 0):
            return self._stopped(request, kind)
        if kind == "none":
            self._refuse(f"has no word for reasoning that {request.model} would understand: leave it out", "reasoning")
        if isinstance(reasoning, int):
            self._refuse(
                f"takes reasoning for {request.model} as one of minimal, low, medium, high: it has no budget in tokens", "reasoning"
            )
        effort = EFFORTS[reasoning]
        if kind == "nova":
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
        return {"reasoning_effort" if kind == "effort" else "reasoning_config": effort}

    def _stopped(self, request: CompletionRequest, kind: str) -> dict[str, Any]:
        if kind == "nova":
            return {"reasoningConfig": {"type": "disabled"}}
        if kind == "effort" or request.facts.can_stop_thinking is False:
            self._refuse(
                f"has no reasoning={request.reasoning!r} for {request.model}, which always thinks: the least is 'minimal'", "reasoning"
            )
        return {}  # unless it is told to, it does not think

    def _asks_by_tool(self, request: CompletionRequest) -> bool:
        """Return whether the shape that is wanted is asked for as the arguments of a tool."""
        wanted = request.response_format
        if wanted is None:
            return False
        rules = self.rules(request.model)
        if _holds_to(wanted, request, rules):
            return False
        from llmkit.dialects.forced_tool import can_ask_by_tool

        told = request.facts.forced_tools
        obeys = told is not False and (told is True or (rules.choices is not None and "any" in rules.choices))
        return can_ask_by_tool(request, obeys=obeys)

    def _add_format(self, body: dict[str, Any], wanted: ResponseFormat, request: CompletionRequest, rules: ConverseRules) -> str | None:
        """Add the shape *wanted* to *body*, or return the words that ask for it where the model cannot be held to it."""
        if wanted.schema is None:
            return "Answer with one JSON object and nothing else."
        if _holds_to(wanted, request, rules):
            from llmkit.dialects.anthropic_schema import held_schema

            shape = {"schema": written(held_schema(wanted.schema), "The schema of the answer"), "name": wanted.name}
            if wanted.description:
                shape["description"] = wanted.description
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": shape}}}
            return None
        described = f" {wanted.description}" if wanted.description else ""
        words = written(wanted.schema, "The schema of the answer")
        return f"Answer with one JSON object and nothing else.{described} It fits this JSON Schema:\n{words}"

    # -- tools

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest, rules: ConverseRules, called: tuple[str, ...]) -> None:
        if request.tool_choice == "none" and not called:
            return  # what is not offered is not called
        choice = self._choice(request, rules)
        tools = request.tools
        if choice is not None and "tool" in choice and rules.choices is not None and "tool" not in rules.choices:
            # It has no word for one tool among several: the others are not offered.
            tools, choice = tuple(tool for tool in tools if tool.name == request.tool_choice), {"any": {}}
        strict = bool(rules.schemas) and "no_schemas" not in request.facts.traits
        specs = [self._tool(tool, rules, strict=strict) for tool in tools]
        if not request.tools:
            # A history with calls is refused without a tool; more than their names is not known of these.
            specs = [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in called]
        body["toolConfig"] = {"tools": specs, **({} if choice is None else {"toolChoice": choice})}

    def _choice(self, request: CompletionRequest, rules: ConverseRules) -> dict[str, Any] | None:
        choice, known = request.tool_choice, rules.choices
        if choice in (None, "none"):
            return None
        if choice == "auto":
            return {"auto": {}} if known is None or "auto" in known else None  # it is what happens anyway
        if (known is not None and "any" not in known) or request.facts.forced_tools is False:
            self._refuse(
                f"cannot make {request.model} call a tool: leave out tool_choice={choice!r}, and ask for it in words", "tool_choice"
            )
        return {"any": {}} if choice == "required" else {"tool": {"name": choice}}

    def _check_forced(self, request: CompletionRequest, more: Mapping[str, Any]) -> None:
        thinking = more.get("thinking")
        if request.tool_choice in (None, "auto", "none") or not isinstance(thinking, Mapping) or "budget_tokens" not in thinking:
            return
        choice = request.tool_choice
        self._refuse(
            f"cannot make {request.model} call a tool while it thinks: leave out tool_choice={choice!r} or reasoning", "tool_choice"
        )

    def _tool(self, tool: Tool, rules: ConverseRules, *, strict: bool) -> dict[str, Any]:
        from llmkit.dialects.anthropic_schema import held_schema, input_schema, is_holdable

        spec: dict[str, Any] = {"name": fit_tool_name(tool.name)}
        if tool.description:
            spec["description"] = tool.description
        if not tool.strict or not strict:
            schema = input_schema(tool.parameters)
            if rules.tool_roots:
                schema = {key: value for key, value in schema.items() if key in rules.tool_roots}
            return {"toolSpec": {**spec, "inputSchema": {"json": schema}}}
        if not is_holdable(tool.parameters):
            self._refuse(
                f"cannot hold a model to the parameters of {tool.name}: they have free keys, a recursion or no type; leave out strict",
                "tools",
            )
        return {"toolSpec": {**spec, "inputSchema": {"json": held_schema(tool.parameters)}, "strict": True}}


@lru_cache(maxsize=512)
def _quoted(model: str) -> str:
    from urllib.parse import quote

    return quote(model, safe="")


def _holds_to(wanted: ResponseFormat, request: CompletionRequest, rules: ConverseRules) -> bool:
    """Return whether the model can be held to the shape *wanted*."""
    # Of a model that is not known, only the caller can know that it can be held to a schema.
    holds = rules.schemas or (rules.schemas is None and wanted.strict is True)
    if not holds or wanted.schema is None or wanted.strict is False or "no_schemas" in request.facts.traits:
        return False
    from llmkit.dialects.anthropic_schema import is_holdable

    return is_holdable(wanted.schema)
