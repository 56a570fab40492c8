"""
The Messages wire, which Anthropic made and other hosts of Claude speak in envelopes of their own.

What differs between hosts is a field of ``AnthropicMessages``, set in the provider's row; what differs between models is in the facts
of the request. This file says requests, ``anthropic_turns`` the conversations in them; ``anthropic_answers`` and ``anthropic_stream``
read what comes back.

Source: Anthropic API reference, "Create a Message" and "Versioning", with its guides, in the version 2023-06-01, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from attrs import field

from llmkit.dialects import anthropic_answers
from llmkit.dialects.anthropic_turns import write_turns
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.claude_thinking import thinking_fields
from llmkit.dialects.wire_json import body_of, written
from llmkit.errors import ConfigurationError, UnsupportedParameterError
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

__all__ = ["AnthropicMessages"]

# What the wire has no word for. ``metadata`` is there, but holds nothing except the user's id.
UNKNOWN = frozenset({"seed", "frequency_penalty", "presence_penalty", "metadata"})


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@frozen(kw_only=True)
class AnthropicMessages:
    """
    Messages, and how one host differs in them.

    Args:
        owner: Whose thoughts and native blocks may go back to this host: a provider's name.
        path: Where to post, behind the base URL; ``{model}`` and the provider's options are filled in, percent-encoded.
        stream_path: Where to post for a stream, where that is elsewhere.
        models_path: Where models are listed; None where they are not.
        model_in_body: Whether the body names the model; where not, the path does.
        stream_in_body: Whether the body asks for the stream; where not, the path does.
        version_in_body: The version that the body must name; empty where a header does.
        betas_in_body: Whether the option ``beta`` (names, joined by commas) goes into the body, in place of a header.
        inline_media: Whether pictures and documents must come as data, never as a link.
        takes_schemas: Whether the host holds a model to a schema.
        schemas_for: Tells of which models it does, by their names, where it is not all of them.
        default_max_tokens: What ``max_tokens`` is, which the wire demands, where neither caller nor facts know: the least that any
            Claude can write, so that none refuses it.
        withholds: Request parameters that this host refuses or ignores.
        envelope: Whose envelope answers and errors come in, where they do: ``"aws"`` for frames and errors of AWS.
    """

    name: str = "anthropic"
    owner: str = "anthropic"
    path: str = "/v1/messages"
    stream_path: str = ""
    models_path: str | None = "/v1/models?limit=1000"  # without a limit it is a page of 20
    model_in_body: bool = True
    stream_in_body: bool = True
    version_in_body: str = ""
    betas_in_body: bool = False
    inline_media: bool = False
    takes_schemas: bool = True
    schemas_for: Callable[[str], bool] | None = None
    default_max_tokens: int = 4096
    withholds: frozenset[str] = field(default=frozenset(), converter=_names)
    envelope: Literal["", "aws"] = ""
    parameters: frozenset[str] = field(init=False, repr=False)

    @parameters.default
    def _known_parameters(self) -> frozenset[str]:
        return frozenset(PARAMETERS) - UNKNOWN - self.withholds

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        betas = place.options.get("beta")
        body = self.body(request)
        if betas and self.betas_in_body:
            body["anthropic_beta"] = betas.replace(" ", "").split(",")
        path = self.stream_path or self.path if request.stream else self.path
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}{_filled(path, request.model, place) if '{' in path else path}",
            headers=Headers(
                {
                    "Content-Type": "application/json",
                    # In frames a stream has a type of its own, whatever is accepted.
                    "Accept": _ACCEPT[request.stream and not self.envelope],
                    **(self._beta_header(betas) if betas and not self.betas_in_body else {}),
                    **(request.extra_headers or {}),
                }
            ),
            body=body_of(merged(body, request.extra_body)),
        )

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the body of *request*, without what the caller lays over it."""
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import asking_by_tool

            request = asking_by_tool(request)
        body: dict[str, Any] = {"model": request.model} if self.model_in_body else {}
        if self.version_in_body:
            body["anthropic_version"] = self.version_in_body
        body["max_tokens"] = self._max_tokens(request)
        wanted = request.response_format
        instruction = None
        if wanted is not None:
            instruction = self._add_format(body, wanted, request)
        system, turns = write_turns(request, owner=self.owner, inline_media=self.inline_media, instruction=instruction)
        if system is not None:
            body["system"] = system
        body["messages"] = turns
        self._add_sampling(body, request)
        if request.reasoning is not None:
            body = merged(body, thinking_fields(request, owner=self.owner, max_tokens=body["max_tokens"]))
        if request.tools:
            self._add_tools(body, request)
        if request.stream and self.stream_in_body:
            body["stream"] = True
        return body

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        answer = self._decoded(response, request)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import as_answer

            return as_answer(answer)
        return answer

    def _decoded(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if self.envelope and "amazon.eventstream" in response.headers.get("content-type", ""):
            from llmkit.dialects import anthropic_frames

            return anthropic_frames.decode_as_whole(self.owner, response, request.model)
        if anthropic_answers.is_stream(response):
            # Gateways before this wire may stream whether they are asked to or not.
            from llmkit.dialects.anthropic_stream import decode_as_whole

            return decode_as_whole(self.owner, response, request.model)
        return anthropic_answers.decode(self.owner, response, request.model)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        decoder = self._decoder(response, request)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import ToolDecoder

            return ToolDecoder(decoder)
        return decoder

    def _decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        if self.envelope:
            from llmkit.dialects import anthropic_frames

            return anthropic_frames.decoder(self.owner, response, request.model)
        from llmkit.dialects.anthropic_stream import decoder  # not needed by those who only want whole answers

        return decoder(self.owner, response, request.model)

    def fault(self, response: HttpResponse) -> Fault:
        if self.envelope:
            from llmkit.dialects.aws_faults import read_fault

            return read_fault(response)
        return anthropic_answers.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None  # all that is sent was asked for, or is demanded

    def encode_models(self, place: Place) -> HttpRequest | None:
        if self.models_path is None:
            return None
        return HttpRequest(method="GET", url=f"{place.base_url}{self.models_path}", headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return anthropic_answers.decode_models(response)

    def _beta_header(self, betas: str) -> dict[str, str]:
        if not betas.isascii() or not betas.isprintable():
            msg = f"{self.owner} sends the option 'beta' as a header, which takes no line break and only ASCII."
            raise ConfigurationError(msg)
        return {"anthropic-beta": betas.replace(" ", "")}

    # -- parameters

    def _max_tokens(self, request: CompletionRequest) -> int:
        if request.max_tokens is not None:
            return request.max_tokens
        if request.facts.max_output_tokens is not None:
            return request.facts.max_output_tokens
        budget = request.reasoning if isinstance(request.reasoning, int) else 0
        return self.default_max_tokens + budget  # thoughts count

    def _add_sampling(self, body: dict[str, Any], request: CompletionRequest) -> None:
        if request.temperature is not None:
            if request.temperature > 1:
                self._refuse(f"takes a temperature from 0 to 1, not {request.temperature!r}", "temperature")
            body["temperature"] = request.temperature
        if request.top_p is not None:
            if request.temperature is not None and "one_sampler" in request.facts.traits:
                self._refuse(f"takes temperature or top_p for {request.model}, not both", "top_p")
            body["top_p"] = request.top_p
        if request.top_k is not None:
            body["top_k"] = request.top_k
        if request.stop is not None:
            body["stop_sequences"] = list(request.stop)
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}

    def _holds(self, request: CompletionRequest) -> bool:
        """Return whether the model can be held to a schema here."""
        if not self.takes_schemas or "no_schemas" in request.facts.traits:
            return False
        return self.schemas_for is None or self.schemas_for(request.model)

    def _holds_to(self, wanted: ResponseFormat, request: CompletionRequest) -> bool:
        """Return whether the model can be held to the shape *wanted*."""
        if wanted.schema is None or wanted.strict is False or not self._holds(request):
            return False
        from llmkit.dialects.anthropic_schema import is_holdable

        return is_holdable(wanted.schema)

    def _asks_by_tool(self, request: CompletionRequest) -> bool:
        """Return whether the shape that is wanted is asked for as the arguments of a tool."""
        wanted = request.response_format
        if wanted is None or self._holds_to(wanted, request):
            return False
        from llmkit.dialects.forced_tool import can_ask_by_tool

        return can_ask_by_tool(request, obeys=request.facts.forced_tools is True)

    def _add_format(self, body: dict[str, Any], wanted: ResponseFormat, request: CompletionRequest) -> str | None:
        """Add the shape *wanted* to *body*, or return the words that ask for it where the model cannot be held to it."""
        if wanted.schema is None:
            return "Answer with one JSON object and nothing else."
        if self._holds_to(wanted, request):
            from llmkit.dialects.anthropic_schema import held_schema

            schema = held_schema(wanted.schema)
            if wanted.description and "description" not in schema:
                schema["description"] = wanted.description
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
            return None
        described = f" {wanted.description}" if wanted.description else ""
        shape = written(wanted.schema, "The schema of the answer")
        return f"Answer with one JSON object and nothing else.{described} It fits this JSON Schema:\n{shape}"

    # -- tools

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest) -> None:
        strict = self._holds(request)
        body["tools"] = [self._tool(tool, strict=strict) for tool in request.tools]
        choice = self._choice(body, request)
        if request.parallel_tool_calls is False and request.tool_choice != "none":
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
        if choice is not None:
            body["tool_choice"] = choice

    def _choice(self, body: Mapping[str, Any], request: CompletionRequest) -> dict[str, Any] | None:
        choice = request.tool_choice
        if choice is None or choice in ("auto", "none"):
            return None if choice is None else {"type": choice}
        if request.facts.forced_tools is False:
            self._refuse(
                f"cannot make {request.model} call a tool: leave out tool_choice={choice!r}, and ask for it in words", "tool_choice"
            )
        if "budget_tokens" in body.get("thinking", {}):
            self._refuse(
                f"cannot make {request.model} call a tool while it thinks: leave out tool_choice={choice!r} or reasoning", "tool_choice"
            )
        return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}

    def _tool(self, tool: Tool, *, strict: bool) -> dict[str, Any]:
        from llmkit.dialects.anthropic_schema import held_schema, input_schema, is_holdable

        wire: dict[str, Any] = {"name": tool.name}
        if tool.description:
            wire["description"] = tool.description
        if not tool.strict or not strict:
            wire["input_schema"] = input_schema(tool.parameters)
            return wire
        if not is_holdable(tool.parameters):
            self._refuse(
                f"cannot hold a model to the parameters of {tool.name}: they have free keys, a recursion or no type; leave out strict",
                "tools",
            )
        wire["input_schema"] = held_schema(tool.parameters)
        wire["strict"] = True
        return wire

    def _refuse(self, what: str, parameter: str) -> NoReturn:
        msg = f"{self.owner} {what}."
        raise UnsupportedParameterError(msg, parameter, self.owner)


_ACCEPT = {False: "application/json", True: "text/event-stream"}


def _filled(path: str, model: str, place: Place) -> str:
    return path.format_map(_Quoted({**place.options, "model": model}))


class _Quoted(dict[str, str]):
    """What may stand in a path, each fit for one when it is asked for."""

    def __getitem__(self, name: str) -> str:
        return _quoted(super().__getitem__(name))


@lru_cache(maxsize=256)
def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="@")  # one host has the date of a model behind an @
