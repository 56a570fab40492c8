"""
The Chat Completions wire: what OpenAI made and most of the field speaks, each a little differently.

Every difference between servers is a field of ``OpenAIChat``, set in the provider's row. This file says requests, ``openai_messages`` the
messages in them; ``openai_answers``, ``openai_stream`` and ``openai_faults`` read what comes back.

Source: OpenAI API reference, "Create chat completion", and the recorded traffic of the servers named in ``providers``; 2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import field

from llmkit.dialects import openai_answers, openai_faults
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.openai_messages import MessageWriter
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["OpenAIChat"]

ReasoningWords = Literal["effort", "nested", "thinking", "thinking_effort", "enable_thinking"]
ThinkingReplay = Literal["none", "reasoning_content", "reasoning", "reasoning_details", "content", "tags"]


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@frozen(kw_only=True)
class OpenAIChat:
    """
    Chat Completions, and how one server differs in it.

    Args:
        owner: Whose thoughts and native blocks may go back to this server: a provider's name.
        path: Where to post, behind the base URL; ``{model}`` is filled in, percent-encoded.
        models_path: Where models are listed; None where they are not.
        query: What every URL carries behind it; ``{name}`` is an option of that name.
        headers: Headers beside the usual ones; ``{name}`` is an option of that name, without which the header is left out.
        extras: What every body carries beside the request, such as a switch whose default would hurt.
        model_option: The option that names the model to the server, where it is given; the request's model where it is not.
        max_tokens_field: The field that bounds the answer's length.
        seed_field: The field for the seed.
        withholds: Request parameters that this server refuses or ignores.
        takes_top_k: Whether it knows ``top_k``, which OpenAI's own does not.
        stream_usage: Whether usage must be asked for in a stream; servers that always send it may refuse the question.
        reasoning: How an effort or budget is said: ``reasoning_effort``, ``reasoning: {…}``, ``thinking: {type}``, that and
            ``reasoning_effort``, ``enable_thinking``.
        replay: How a model's thoughts go back to it with the history.
        replay_always: Whether a turn with calls is refused without thoughts, so that blank ones stand in for those of other models.
        schema: ``"json_schema"`` where the server holds a model to a schema; ``"value"`` where it does so under that key;
            ``"json_object"`` where it only knows JSON, and is told the schema in words.
        tool_for_schema: Whether those of its models that know no schemas are made to call a tool instead; where not, nothing is known of
            its models, and they are sent the schema.
        json_mode: Whether it knows ``json_object``; where not, a schema that any object fits asks for JSON.
        strict_tools: Whether a tool's schema may be declared ``strict``.
        schema_omits: Keywords that are left out of tools' schemas; of ``additionalProperties`` only ``false``.
        required_choice: The word for "some tool must be called".
        plain_content: Whether content must be a string, never a list of parts.
        joins_text: Whether content that is text throughout must be a string; other parts may still make it a list.
        silence: What the content of a turn is that only calls tools: null, no content at all, or an empty string.
        speaker_names: Whether a message may carry the name of its speaker.
        one_system: Whether there may be only one system message, at the beginning.
        bridges_tools: Whether a user may not speak right after a tool; the assistant then says a word between them.
        inline_images: Whether pictures must come as data, never as a link.
        short_tool_ids: Whether the ids of tool calls must be nine letters and digits.
        think_tags: Whether thoughts come inside the text, as ``<think>…</think>`` at its beginning.
        hidden_output: Whether ``total_tokens`` counts output that ``completion_tokens`` leaves out.
        marks_cache: Whether ``cache_control`` on a part marks a prompt-cache breakpoint.
    """

    name: str = "openai_chat"
    owner: str = "openai"
    path: str = "/chat/completions"
    models_path: str | None = "/models"
    query: str = ""
    headers: Mapping[str, str] = field(factory=dict)
    extras: Mapping[str, Any] = field(factory=dict)
    model_option: str = ""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed_field: str = "seed"
    withholds: frozenset[str] = field(default=frozenset(), converter=_names)
    takes_top_k: bool = False
    stream_usage: bool = True
    reasoning: ReasoningWords = "effort"
    replay: ThinkingReplay = "none"
    replay_always: bool = False
    schema: Literal["json_schema", "json_object", "value"] = "json_schema"
    tool_for_schema: bool = False
    json_mode: bool = True
    strict_tools: bool = True
    schema_omits: frozenset[str] = field(default=frozenset(), converter=_names)
    required_choice: str = "required"
    plain_content: bool = False
    joins_text: bool = False
    silence: Literal["null", "absent", "empty"] = "null"
    speaker_names: bool = True
    one_system: bool = False
    bridges_tools: bool = False
    inline_images: bool = False
    short_tool_ids: bool = False
    think_tags: bool = False
    hidden_output: bool = False
    marks_cache: bool = False
    parameters: frozenset[str] = field(init=False, repr=False)

    @parameters.default
    def _known_parameters(self) -> frozenset[str]:
        known = frozenset(PARAMETERS) - self.withholds
        return known if self.takes_top_k else known - {"top_k"}

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import asking_by_tool

            request = asking_by_tool(request)
        model = place.options.get(self.model_option) or request.model if self.model_option else request.model
        body: dict[str, Any] = {"model": model, "messages": MessageWriter(self).write(request), **self.extras}
        self._add_sampling(body, request)
        if request.tools:
            self._add_tools(body, request)
        if request.response_format is not None and not self._lacks_schemas(request):
            body["response_format"] = self._response_format(request)
        if request.reasoning is not None:
            self._add_reasoning(body, request.reasoning)
        if request.stream:
            body["stream"] = True
            if self.stream_usage and "stream_options" not in place.refused:
                body["stream_options"] = {"include_usage": True}
        return HttpRequest(
            method="POST",
            url=self._url(self.path, model, place),
            headers=Headers(
                {
                    "Content-Type": "application/json",
                    "Accept": _ACCEPT[request.stream],
                    **(self._own_headers(place) if self.headers else {}),
                    **(request.extra_headers or {}),
                }
            ),
            body=_dumps(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        answer = self._decoded(response, request)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import as_answer

            return as_answer(answer)
        return answer

    def _decoded(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if openai_answers.is_stream(response):
            # Some servers stream whether they are asked to or not.
            from llmkit.dialects.openai_stream import decode_as_whole

            return decode_as_whole(self, response, request)
        return openai_answers.decode(self, response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.openai_stream import decoder  # not needed by those who only want whole answers

        made = decoder(self, response, request)
        if self._asks_by_tool(request):
            from llmkit.dialects.forced_tool import ToolDecoder

            return ToolDecoder(made)
        return made

    def fault(self, response: HttpResponse) -> Fault:
        return openai_faults.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        words = f"{fault.param or ''} {fault.message}".lower()
        asked = request.stream and self.stream_usage and "stream_options" not in (request.extra_body or {})
        return "stream_options" if asked and fault.status in (400, 422) and "stream_options" in words else None

    def encode_models(self, place: Place) -> HttpRequest | None:
        if self.models_path is None:
            return None
        headers = Headers({"Accept": "application/json", **self._own_headers(place)})
        return HttpRequest(method="GET", url=self._url(self.models_path, "", place), headers=headers)

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        return openai_answers.decode_models(response)

    def _url(self, path: str, model: str, place: Place) -> str:
        if "{" in path:
            path = path.format(model=_quoted(model))
        query = self.query.format_map({name: _quoted(value) for name, value in place.options.items()}) if self.query else ""
        return f"{place.base_url}{path}?{query}" if query else f"{place.base_url}{path}"

    def _own_headers(self, place: Place) -> dict[str, str]:
        headers = {}
        for name, text in self.headers.items():
            try:
                headers[name] = text.format_map(place.options)
            except KeyError:
                continue  # it says an option that was not given
            if not headers[name].isascii() or not headers[name].isprintable():
                msg = f"{self.owner} sends the option for {name} as a header, which takes no line break and only ASCII."
                raise ConfigurationError(msg)
        return headers

    # -- parameters

    def _add_sampling(self, body: dict[str, Any], request: CompletionRequest) -> None:
        for name, wire in (
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("top_k", "top_k"),
            ("max_tokens", self.max_tokens_field),
            ("seed", self.seed_field),
            ("frequency_penalty", "frequency_penalty"),
            ("presence_penalty", "presence_penalty"),
            ("user", "user"),
            ("metadata", "metadata"),
        ):
            value = getattr(request, name)
            if value is not None:
                body[wire] = value
        if request.stop is not None:
            body["stop"] = list(request.stop)

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest) -> None:
        body["tools"] = [self._tool(tool) for tool in request.tools]
        choice = request.tool_choice
        if choice in ("auto", "none"):
            body["tool_choice"] = choice
        elif choice == "required":
            body["tool_choice"] = self.required_choice
        elif choice is not None:
            body["tool_choice"] = {"type": "function", "function": {"name": choice}}
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def _tool(self, tool: Any) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
        if tool.description:
            function["description"] = tool.description
        if tool.strict and self.strict_tools:
            from llmkit.dialects.openai_schemas import strictly

            what = f"the parameters of {tool.name}"
            function["parameters"] = strictly(tool.parameters, what, owner=self.owner, parameter="tools")
            function["strict"] = True
        if self.schema_omits:
            from llmkit.dialects.openai_reshaping import without_keywords

            function["parameters"] = without_keywords(function["parameters"], self.schema_omits)
        return {"type": "function", "function": function}

    def _lacks_schemas(self, request: CompletionRequest) -> bool:
        if not self.tool_for_schema or request.response_format is None:
            return False
        from llmkit.dialects.openai_schemas import lacks_schemas

        return lacks_schemas(request)

    def _asks_by_tool(self, request: CompletionRequest) -> bool:
        if not self.tool_for_schema or request.response_format is None:
            return False
        from llmkit.dialects.openai_schemas import asks_by_tool

        return asks_by_tool(request)

    def tells_schema(self, request: CompletionRequest) -> bool:
        """Whether the schema that *request* wants is told in words."""
        return self.schema == "json_object" or self._lacks_schemas(request)

    def _response_format(self, request: CompletionRequest) -> dict[str, Any]:
        wanted = request.response_format
        assert wanted is not None  # the caller asked for it
        if self.schema == "value":
            return {"type": "json_object", "value": wanted.schema or {"type": "object"}}
        if self.schema == "json_object" or (wanted.kind == "json" and self.json_mode):
            return {"type": "json_object"}
        if wanted.schema is None:
            return {"type": "json_schema", "json_schema": {"name": wanted.name, "schema": {"type": "object"}, "strict": False}}
        from llmkit.dialects.openai_schemas import strictly
        from llmkit.schema import is_strict_able

        strict = is_strict_able(wanted.schema) if wanted.strict is None else wanted.strict
        schema = strictly(wanted.schema, wanted.name, owner=self.owner, parameter="response_format") if strict else wanted.schema
        described = {"description": wanted.description} if wanted.description else {}
        return {"type": "json_schema", "json_schema": {"name": wanted.name, **described, "schema": schema, "strict": strict}}

    def _add_reasoning(self, body: dict[str, Any], reasoning: str | int) -> None:
        if self.reasoning == "nested":
            body["reasoning"] = {"max_tokens": reasoning} if isinstance(reasoning, int) else {"effort": reasoning}
        elif self.reasoning == "enable_thinking":
            body["enable_thinking"] = reasoning not in ("none", 0)
            if isinstance(reasoning, int) and reasoning > 0:
                body["thinking_budget"] = reasoning
        elif isinstance(reasoning, int):
            msg = f"{self.owner} takes reasoning as one of none, minimal, low, medium, high; it has no budget in tokens."
            raise UnsupportedParameterError(msg, "reasoning", self.owner)
        elif self.reasoning == "thinking":
            body["thinking"] = {"type": "disabled" if reasoning == "none" else "enabled"}
        elif self.reasoning == "thinking_effort":
            body["thinking"] = {"type": "disabled" if reasoning == "none" else "enabled"}
            if reasoning != "none":
                body["reasoning_effort"] = reasoning
        else:
            body["reasoning_effort"] = reasoning


_ACCEPT = {False: "application/json", True: "text/event-stream"}
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _dumps(body: dict[str, Any]) -> bytes:
    try:
        return _encode(body).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        # A lone surrogate, a NaN, or an object that JSON has no word for.
        msg = f"The request cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None
