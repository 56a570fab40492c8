"""
The wire of Google's Gemini: ``generateContent``, as AI Studio and Vertex AI speak it.

This file says requests; ``gemini_contents`` the history in them, ``gemini_answers``, ``gemini_stream`` and ``gemini_faults`` read what
comes back.

Source: Google AI for Developers, "Generating content"; Google Cloud, "generateContent"; the package google-genai 3.4.0; recorded
traffic of both services; read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.dialects.gemini_address import model_path
from llmkit.dialects.gemini_contents import Contents
from llmkit.dialects.wire_json import body_of
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.facts import ModelFacts
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["Gemini"]

# The wire has no word for the user, and no switch for parallel calls.
SAYABLE = frozenset(PARAMETERS) - {"user", "parallel_tool_calls"}

# Tokens to think with, for the models that know no levels: what Google's own OpenAI-compatible API takes an effort for ("OpenAI
# compatibility", section "Thinking", read 2026-11-21). A model's range bounds them.
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}

# A trait of models that hold an answer to a schema only where no functions are declared.
EITHER = "tools_or_schema"

CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


@frozen(kw_only=True)
class Gemini:
    """
    ``generateContent``, and where a service has it.

    Args:
        owner: Whose thoughts, seals and native parts may go back: a provider's name.
        publisher: What stands before ``models/`` in its paths.
        project_option: The option that names a project, behind whose path models then are; its location is the option beside it.
        location_option: The option that says where that project's models run.
    """

    name: str = "gemini"
    owner: str = "google"
    publisher: str = ""
    project_option: str = ""
    location_option: str = ""
    parameters: frozenset[str] = field(default=SAYABLE, init=False, repr=False)

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}{self.path_of(request.model, place)}:{method}",
            headers=Headers(
                {
                    "Content-Type": "application/json",
                    "Accept": _ACCEPT[request.stream],
                    **(request.extra_headers or {}),
                }
            ),
            body=body_of(merged(self.body(request), request.extra_body)),
        )

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the body of *request*, without what the caller lays over it."""
        if request.tools and request.response_format is not None and EITHER in request.facts.traits:
            msg = f"{request.model} takes tools or a response_format, not both: ask for the typed answer in a request without tools."
            raise ConfigurationError(msg)
        body = self._history(request)
        config = self._generation(request)
        if config:
            body["generationConfig"] = config
        if request.tools:
            self._add_tools(body, request)
        if request.metadata is not None:
            body["labels"] = dict(request.metadata)
        return body

    def path_of(self, model: str, place: Place) -> str:
        """Return where *model* is, behind the base URL."""
        project = place.options.get(self.project_option) if self.project_option else None
        return model_path(model, publisher=self.publisher, project=project, location=place.options.get(self.location_option))

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        from llmkit.dialects import gemini_answers

        return gemini_answers.decode(self.owner, response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.gemini_stream import GeminiStream  # not needed by those who only want whole answers

        return GeminiStream(owner=self.owner, answer_to=response, request=request)

    def fault(self, response: HttpResponse) -> Fault:
        from llmkit.dialects.gemini_faults import read_fault

        return read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None  # nothing is sent that the caller did not ask for

    def encode_models(self, place: Place) -> HttpRequest | None:
        url = f"{place.base_url}/{self.publisher}models?pageSize=1000"
        return HttpRequest(method="GET", url=url, headers=Headers({"Accept": "application/json"}))

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        from llmkit.dialects.gemini_answers import decode_models

        return decode_models(response)

    # -- parameters

    def _generation(self, request: CompletionRequest) -> dict[str, Any]:
        config: dict[str, Any] = {}
        for name, wire in _SAMPLING:
            value = getattr(request, name)
            if value is not None:
                config[wire] = value
        if request.stop is not None:
            config["stopSequences"] = list(request.stop)
        if request.reasoning is not None:
            thinking = self._thinking(request.reasoning, request.facts, request.model)
            if thinking:
                config["thinkingConfig"] = thinking
        if request.response_format is not None:
            self._add_format(config, request)
        return config

    def _add_format(self, config: dict[str, Any], request: CompletionRequest) -> None:
        wanted = request.response_format
        assert wanted is not None  # the caller asked for it
        config["responseMimeType"] = "application/json"
        if wanted.schema is None:
            return
        from llmkit.dialects.gemini_schema import gemini_schema

        schema = gemini_schema(wanted.schema)
        if wanted.description and "description" not in schema:
            schema["description"] = wanted.description
        config["responseJsonSchema"] = schema

    def _add_tools(self, body: dict[str, Any], request: CompletionRequest) -> None:
        from llmkit.dialects.gemini_schema import gemini_schema

        declarations: list[dict[str, Any]] = []
        for tool in request.tools:
            declaration: dict[str, Any] = {"name": tool.name}
            if tool.description:
                declaration["description"] = tool.description
            if tool.parameters.get("properties") or set(tool.parameters) - {"type", "properties", "additionalProperties", "required"}:
                declaration["parametersJsonSchema"] = gemini_schema(tool.parameters)
            declarations.append(declaration)
        body["tools"] = [{"functionDeclarations": declarations}]
        calling = _calling(request)
        if calling:
            body["toolConfig"] = {"functionCallingConfig": calling}

    def _thinking(self, reasoning: str | int, facts: ModelFacts, model: str) -> dict[str, Any]:
        """Return how much the model is to think, in the one of two ways that it understands; nothing where it cannot think."""
        if reasoning in ("none", 0):
            return _no_thinking(facts, model)
        if facts.thinking == "none":
            msg = f"{model} does not think: leave reasoning={reasoning!r} out."
            raise UnsupportedParameterError(msg, "reasoning", self.owner)
        if isinstance(reasoning, int):
            return {"includeThoughts": True, "thinkingBudget": _budget(reasoning, facts, model)}
        if facts.thinking == "budget":
            least, most = facts.budget or (0, BUDGETS["high"])
            return {"includeThoughts": True, "thinkingBudget": min(max(BUDGETS[reasoning], least), most)}
        if facts.efforts and reasoning not in facts.efforts:
            msg = f"{model} thinks with reasoning {', '.join(facts.efforts)}, not {reasoning!r}."
            raise UnsupportedParameterError(msg, "reasoning", self.owner)
        return {"includeThoughts": True, "thinkingLevel": reasoning}

    # -- the history

    def _history(self, request: CompletionRequest) -> dict[str, Any]:
        facts = request.facts
        history = Contents(
            owner=self.owner,
            demands_seals=facts.thinking not in ("budget", "none"),
            sees_results=facts.thinking == "level",
        )
        history.add(request.messages)
        contents = history.contents
        if facts.prefill is False and contents and contents[-1]["role"] == "model":
            msg = f"{request.model} does not go on with a turn of its own: the last message must be the user's or a tool's."
            raise ConfigurationError(msg)
        if not contents:
            msg = f"The messages have nothing in them that {self.owner} can read."
            raise ConfigurationError(msg)
        body: dict[str, Any] = {"contents": contents}
        if history.system:
            body["systemInstruction"] = {"parts": history.system}
        return body


_SAMPLING = (
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("max_tokens", "maxOutputTokens"),
    ("seed", "seed"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
)
_ACCEPT = {False: "application/json", True: "text/event-stream"}


def _calling(request: CompletionRequest) -> dict[str, Any]:
    choice = request.tool_choice
    if choice in (None, "auto") and any(tool.strict for tool in request.tools):
        return {"mode": "VALIDATED"}  # as "auto", and held to the schemas
    if choice is None:
        return {}
    mode = CHOICES.get(choice)
    return {"mode": mode} if mode is not None else {"mode": "ANY", "allowedFunctionNames": [choice]}


def _no_thinking(facts: ModelFacts, model: str) -> dict[str, Any]:
    if facts.thinking == "none":
        return {}
    if facts.can_stop_thinking is False:
        least = f"reasoning={facts.efforts[0]!r}" if facts.efforts else f"reasoning={facts.budget[0]}" if facts.budget else "less"
        msg = f"{model} cannot stop thinking; the least that can be asked of it is {least}."
        raise UnsupportedParameterError(msg, "reasoning", "")
    return {"thinkingBudget": 0}


def _budget(tokens: int, facts: ModelFacts, model: str) -> int:
    if facts.thinking == "level":
        msg = f"{model} has no budget to think with, only levels: reasoning is one of {', '.join(facts.efforts or BUDGETS)}, not {tokens}."
        raise UnsupportedParameterError(msg, "reasoning", "")
    if facts.budget is not None and not facts.budget[0] <= tokens <= facts.budget[1]:
        least, most = facts.budget
        msg = f"{model} thinks with {least} to {most} tokens, not {tokens}."
        raise UnsupportedParameterError(msg, "reasoning", "")
    return tokens
