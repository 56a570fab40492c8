"""
The Responses wire: OpenAI's newer one, in which a conversation is a list of items and a model's sealed thoughts are among them.

Nothing is left with the server: every request carries its whole history, thoughts included. What differs between servers is a field of
``OpenAIResponses``, set in the provider's row. This file says requests, ``openai_responses_items`` the items in them;
``openai_responses_answers`` and ``openai_responses_stream`` read what comes back.

Source: OpenAI API reference, "Create a model response", and the recorded traffic of the servers named in ``providers``; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from attrs import field

from llmkit.dialects import openai_faults, openai_responses_answers
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.openai_messages import JSON_IN_WORDS, mentions_json
from llmkit.dialects.openai_responses_items import ItemWriter
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

__all__ = ["OpenAIResponses"]

# What Chat Completions has a word for, and this wire has not.
UNKNOWN = frozenset({"top_k", "stop", "seed", "frequency_penalty", "presence_penalty"})

SEALED_THOUGHTS = "reasoning.encrypted_content"


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@frozen(kw_only=True)
class OpenAIResponses:
    """
    Responses, and how one server differs in it.

    Args:
        owner: Whose thoughts and native items may go back to this server: a provider's name, and the wire's where it has several.
        files_of: Whose files may be named by their ids beside the owner's: the same provider on its other wire.
        path: Where to post, behind the base URL.
        models_path: Where models are listed; None where they are not.
        model_option: The option that names the model to the server, where it is given; the request's model where it is not.
        seals: Whether the server seals a model's thoughts and must be asked for them; where not, it gives them in the clear.
        schema: ``"json_schema"`` where the server holds a model to a schema; ``"json_object"`` where it only knows JSON, and is told the
            schema in words.
        withholds: Request parameters that this server refuses or ignores.
    """

    name: str = "openai_responses"
    owner: str = "openai-responses"
    files_of: str = "openai"
    path: str = "/responses"
    models_path: str | None = "/models"
    model_option: str = ""
    seals: bool = True
    schema: Literal["json_schema", "json_object"] = "json_schema"
    withholds: frozenset[str] = field(default=frozenset(), converter=_names)
    parameters: frozenset[str] = field(init=False, repr=False)

    @parameters.default
    def _known_parameters(self) -> frozenset[str]:
        return frozenset(PARAMETERS) - UNKNOWN - self.withholds

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        if _asks_by_tool(request):
            from llmkit.dialects.forced_tool import asking_by_tool

            request = asking_by_tool(request)
        extra = request.extra_body or _NOTHING
        model = place.options.get(self.model_option) or request.model if self.model_option else request.model
        stored = extra.get("store") is True
        writer = ItemWriter(owner=self.owner, files_of=self.files_of, stored=stored)
        body: dict[str, Any] = {"model": model}
        instructions, body["input"] = writer.write(request.messages)
        if request.response_format is not None:
            instructions = self._add_format(body, request, instructions)
        if instructions is not None:
            body["instructions"] = instructions
        # The history is the caller's: what the server kept of it would only be kept.
        body["store"] = False
        if self.seals and not stored and request.facts.thinking != "none" and "include" not in place.refused:
            body["include"] = _with_seals(extra.get("include"))
        self._add_sampling(body, request)
        if request.reasoning is not None:
            self._add_reasoning(body, request)
        if request.tools:
            self._add_tools(body, request)
        if request.stream:
            body["stream"] = True
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}{self.path}",
            headers=Headers({"Content-Type": "application/json", "Accept": _ACCEPT[request.stream], **(request.extra_headers or {})}),
            body=body_of(merged(body, _without_include(extra) if "include" in extra and "include" in body else extra)),
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        answer = self._decoded(response, request)
        if _asks_by_tool(request):
            from llmkit.dialects.forced_tool import as_answer

            return as_answer(answer)
        return answer

    def _decoded(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        if openai_responses_answers.is_stream(response):
            # Some servers stream whether they are asked to or not.
            from llmkit.dialects.openai_responses_stream import decode_as_whole

            return decode_as_whole(self.owner, response, request.model)
        return openai_responses_answers.decode(self.owner, response, request.model)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.openai_responses_stream import decoder  # not needed by those who only want whole answers

        made = decoder(self.owner, response, request.model)
        if _asks_by_tool(request):
            from llmkit.dialects.forced_tool import ToolDecoder

            return ToolDecoder(made)
        return made

    def fault(self, response: HttpResponse) -> Fault:
        return openai_faults.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        """Do without sealed thoughts where the model has none, and says so: it is not always known before."""
        if fault.status not in (400, 422) or not self.seals or "include" in (request.extra_body or {}):
            return None
        words = f"{fault.param or ''} {fault.message}".lower()
        seals = "encrypted content is not supported" in words or SEALED_THOUGHTS in words
        return "include" if seals or (fault.param or "").startswith("include") else None

    def encode_models(self, place: Place) -> HttpRequest | None:
        if self.models_path is None:
            return None
        return HttpRequest(method="GET", url=f"{place.base_url}{self.models_path}", headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        from llmkit.dialects.openai_answers import decode_models

        return decode_models(response)

    # -- parameters

    def _add_sampling(self, body: dict[str, Any], request: CompletionRequest) -> None:
        for wire, value in (
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("max_output_tokens", request.max_tokens),
            ("user", request.user),
            ("metadata", request.metadata),
        ):
            if value is not None:
                body[wire] = value

    def _add_reasoning(self, body: dict[str, Any], request: CompletionRequest) -> None:
        effort, efforts = request.reasoning, request.facts.efforts
        if isinstance(effort, int):
            self._refuse("takes reasoning as one of none, minimal, low, medium, high; it has no budget in tokens", "reasoning")
        if effort == "minimal" and efforts and effort not in efforts:
            effort = "low"  # later models have nothing lower
        body["reasoning"] = {"effort": effort}

    def _add_format(self, body: dict[str, Any], request: CompletionRequest, instructions: str | None) -> str | None:
        """Add the shape that is wanted to *body*, and return *instructions* with the words that ask for it where the server has none."""
        wanted = request.response_format
        assert wanted is not None  # the caller has looked
        if wanted.schema is None:
            body["text"] = {"format": {"type": "json_object"}}
            if not mentions_json(request.messages if instructions is None else request.messages[1:]):
                # Among the messages, since the server does not look for the word in the instructions.
                body["input"] = [{"role": "system", "content": JSON_IN_WORDS}, *body["input"]]
            return instructions
        from llmkit.dialects.openai_schemas import lacks_schemas, strictly

        if self.schema == "json_object" or lacks_schemas(request):
            if self.schema == "json_object":
                body["text"] = {"format": {"type": "json_object"}}
            shape = written(wanted.schema, "The schema of the answer")
            words = f"Answer with one JSON object and nothing else. It fits this JSON Schema:\n{shape}"
            return words if instructions is None else f"{instructions}\n\n{words}"
        from llmkit.schema import is_strict_able

        strict = is_strict_able(wanted.schema) if wanted.strict is None else wanted.strict
        schema = strictly(wanted.schema, wanted.name, owner=self.owner, parameter="response_format") if strict else wanted.schema
        described = {"description": wanted.description} if wanted.description else {}
        body["text"] = {"format": {"type": "json_schema", "name": wanted.name, **described, "schema": schema, "strict": strict}}
        return instructions

    # -- tools

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest) -> None:
        body["tools"] = [_tool(tool, self.owner) for tool in request.tools]
        choice = request.tool_choice
        if choice is not None:
            body["tool_choice"] = choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def _refuse(self, what: str, parameter: str) -> NoReturn:
        msg = f"{self.owner} {what}."
        raise UnsupportedParameterError(msg, parameter, self.owner)


_NOTHING: Mapping[str, Any] = {}
_ACCEPT = {False: "application/json", True: "text/event-stream"}


def _without_include(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    # What the caller wants included is in the body already, with the seals.
    return {key: value for key, value in extra.items() if key != "include"}


def _with_seals(wanted: Any) -> Any:
    """Return what the caller wants included, with the sealed thoughts; what is no list is the server's to refuse."""
    if wanted is None:
        return [SEALED_THOUGHTS]
    if not isinstance(wanted, (list, tuple)) or SEALED_THOUGHTS in wanted:
        return wanted
    return [*wanted, SEALED_THOUGHTS]


def _asks_by_tool(request: CompletionRequest) -> bool:
    if request.response_format is None:
        return False
    from llmkit.dialects.openai_schemas import asks_by_tool

    return asks_by_tool(request)


def _tool(tool: Tool, owner: str) -> Mapping[str, Any]:
    # Where it is not said, the wire takes a tool for a strict one.
    wire: dict[str, Any] = {"type": "function", "name": tool.name, "parameters": tool.parameters, "strict": bool(tool.strict)}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict:
        from llmkit.dialects.openai_schemas import strictly

        wire["parameters"] = strictly(tool.parameters, f"the parameters of {tool.name}", owner=owner, parameter="tools")
    return wire
