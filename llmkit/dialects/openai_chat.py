"""
The Chat Completions wire: what OpenAI made and most of the field speaks, each a little differently.

Every difference between servers is a field of ``OpenAIChat``, set in the provider's row. This file says requests; ``openai_answers``,
``openai_stream`` and ``openai_faults`` read what comes back.

Source: OpenAI API reference, "Create chat completion", and the recorded traffic of the servers named in ``providers``; 2026-11-21.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from llmkit.dialects import openai_answers, openai_faults
from llmkit.dialects.base import Place, StreamDecoder, merged
from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.fault import Fault
from llmkit.models.request import PARAMETERS, CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["OpenAIChat"]

ReasoningWords = Literal["effort", "nested", "thinking", "thinking_effort", "enable_thinking"]
ThinkingReplay = Literal["none", "reasoning_content", "reasoning", "reasoning_details", "content", "tags"]

AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


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
        model = place.options.get(self.model_option) or request.model if self.model_option else request.model
        body: dict[str, Any] = {"model": model, "messages": self._messages(request), **self.extras}
        self._add_sampling(body, request)
        if request.tools:
            self._add_tools(body, request)
        if request.response_format is not None:
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
        if openai_answers.is_stream(response):
            # Some servers stream whether they are asked to or not.
            from llmkit.dialects.openai_stream import decode_as_whole

            return decode_as_whole(self, response, request)
        return openai_answers.decode(self, response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.openai_stream import decoder  # not needed by those who only want whole answers

        return decoder(self, response, request)

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
            from llmkit.schema import strict_schema

            function["parameters"] = strict_schema(tool.parameters)
            function["strict"] = True
        if self.schema_omits:
            from llmkit.dialects.openai_reshaping import without_keywords

            function["parameters"] = without_keywords(function["parameters"], self.schema_omits)
        return {"type": "function", "function": function}

    def _response_format(self, request: CompletionRequest) -> dict[str, Any]:
        wanted = request.response_format
        assert wanted is not None  # the caller asked for it
        if self.schema == "value":
            return {"type": "json_object", "value": wanted.schema or {"type": "object"}}
        if self.schema == "json_object" or (wanted.kind == "json" and self.json_mode):
            return {"type": "json_object"}
        if wanted.schema is None:
            return {"type": "json_schema", "json_schema": {"name": wanted.name, "schema": {"type": "object"}, "strict": False}}
        from llmkit.schema import is_strict_able, strict_schema

        strict = is_strict_able(wanted.schema) if wanted.strict is None else wanted.strict
        schema = strict_schema(wanted.schema) if strict else wanted.schema
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
            raise ConfigurationError(msg)
        elif self.reasoning == "thinking":
            body["thinking"] = {"type": "disabled" if reasoning == "none" else "enabled"}
        elif self.reasoning == "thinking_effort":
            body["thinking"] = {"type": "disabled" if reasoning == "none" else "enabled"}
            if reasoning != "none":
                body["reasoning_effort"] = reasoning
        else:
            body["reasoning_effort"] = reasoning

    # -- messages

    def _messages(self, request: CompletionRequest) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        instruction = self._schema_in_words(request)
        if instruction is not None:
            wire.append({"role": "system", "content": instruction})
        aside: list[Part] = []  # pictures that came out of tools, which a tool message cannot hold
        for message in request.messages:
            if aside and message.role != "tool":
                wire.append({"role": "user", "content": self._content(aside)})
                aside = []
            if message.role == "assistant":
                wire.append(self._assistant(message))
                continue
            results = [part for part in message.content if isinstance(part, ToolResult)]
            for result in results:
                wire.append(self._tool_message(result, aside))
            rest = [part for part in message.content if not isinstance(part, ToolResult)]
            if message.role == "tool" and (rest or not results):
                msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
                raise ConfigurationError(msg)
            if rest or not results:
                wire.append(self._turn(message, rest))
        if aside:
            wire.append({"role": "user", "content": self._content(aside)})
        return self._reordered(wire) if self.one_system or self.bridges_tools else wire

    def _reordered(self, wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from llmkit.dialects.openai_reshaping import bridged, with_one_system

        if self.one_system:
            wire = with_one_system(wire)
        return bridged(wire) if self.bridges_tools else wire

    def _schema_in_words(self, request: CompletionRequest) -> str | None:
        """Return what the model is told where the server cannot be: it also has the word "json", which JSON mode demands."""
        wanted = request.response_format
        if wanted is None or self.schema != "json_object" or wanted.kind == "json":
            return None
        return "Answer with one JSON object and nothing else. It fits this JSON Schema:\n" + json.dumps(wanted.schema, ensure_ascii=False)

    def _turn(self, message: Message, parts: Sequence[Part]) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": message.role, "content": self._content(parts)}
        if message.name:
            self._add_name(turn, message.name)
        return turn

    def _add_name(self, turn: dict[str, Any], name: str) -> None:
        if not self.speaker_names:
            msg = f"{self.owner} refuses messages with the name of their speaker: say it in the text instead of with name={name!r}."
            raise ConfigurationError(msg)
        turn["name"] = name

    def _content(self, parts: Sequence[Part]) -> str | list[Any]:
        if len(parts) == 1 and isinstance(parts[0], Text) and not (parts[0].cache and self.marks_cache):
            return parts[0].text
        pieces = [piece for part in parts if (piece := self._part(part)) is not None]
        if not pieces:
            msg = f"A message has nothing in it that {self.owner} can read."
            raise ConfigurationError(msg)
        if not (self.plain_content or self.joins_text):
            return pieces
        if any(piece.get("type") != "text" for piece in pieces):
            if not self.plain_content:
                return pieces
            msg = f"{self.owner} takes text only: this message has a part that is none."
            raise ConfigurationError(msg)
        return "\n".join(piece["text"] for piece in pieces)

    def _part(self, part: Part) -> dict[str, Any] | None:
        """Return one content part; None for what only another provider could read."""
        if isinstance(part, Text):
            wire: dict[str, Any] = {"type": "text", "text": part.text}
        elif isinstance(part, Image):
            wire = {"type": "image_url", "image_url": self._image(part)}
        elif isinstance(part, Audio):
            wire = {"type": "input_audio", "input_audio": self._audio(part)}
        elif isinstance(part, Document):
            wire = self._document(part)
        elif isinstance(part, Native):
            return None if self._is_foreign(part) else dict(part.data)
        elif isinstance(part, Thinking):
            return None
        else:
            msg = f"A {type(part).__name__} cannot stand in this message: calls belong to the assistant, results to a tool."
            raise ConfigurationError(msg)
        if self.marks_cache and part.cache:
            wire["cache_control"] = {"type": "ephemeral"}
        return wire

    def _image(self, image: Image) -> dict[str, Any]:
        if self.inline_images and image.data is None:
            msg = f"{self.owner} takes pictures as data only: use Image.from_path() or Image(data=..., media_type=...)."
            raise ConfigurationError(msg)
        return {"url": image.data_url()} if image.detail is None else {"url": image.data_url(), "detail": image.detail}

    def _audio(self, audio: Audio) -> dict[str, Any]:
        sound = AUDIO_FORMATS.get(audio.media_type or "")
        if audio.data is None or sound is None:
            msg = f"{self.owner} takes audio as data, in WAV or MP3: use Audio.from_path() or Audio(data=..., media_type='audio/wav')."
            raise ConfigurationError(msg)
        return {"data": audio.base64(), "format": sound}

    def _document(self, document: Document) -> dict[str, Any]:
        if document.data is None:
            msg = f"{self.owner} takes documents as data, not by URL: use Document.from_path() or Document(data=..., media_type=...)."
            raise ConfigurationError(msg)
        if (document.media_type or "").startswith("text/"):
            # The wire's file part is for PDFs; a text is a text.
            return {"type": "text", "text": document.data.decode("utf-8", "replace")}
        return {"type": "file", "file": {"file_data": document.data_url(), "filename": document.name or "document.pdf"}}

    def _assistant(self, message: Message) -> dict[str, Any]:
        thoughts = [part for part in message.content if isinstance(part, Thinking) and part.provider in (None, self.owner)]
        calls = [part for part in message.content if isinstance(part, ToolCall)]
        others: list[Text | Native] = []
        for part in message.content:
            if isinstance(part, (Text, Native)) and not self._is_foreign(part):
                others.append(part)
            elif not isinstance(part, (Native, Thinking, ToolCall)):
                msg = f"An assistant's message cannot hold a {type(part).__name__} here: it is made of text, thinking and tool calls."
                raise ConfigurationError(msg)
        turn: dict[str, Any] = {"role": "assistant"}
        in_parts = any(isinstance(part, Native) or (self.marks_cache and part.cache) for part in others)
        content = self._content(others) if in_parts else message.text
        # Null is allowed beside calls only; some servers refuse an empty string there.
        turn["content"] = content if content or not calls else None
        if message.name:
            self._add_name(turn, message.name)
        if calls:
            turn["tool_calls"] = [self._call(call) for call in calls]
        if thoughts:
            self._add_thoughts(turn, thoughts)
        if calls and self.replay_always and not turn.get(self.replay):
            turn[self.replay] = " "  # an empty string counts as none
        if turn["content"] is None and self.silence != "null":
            self._break_silence(turn)
        return turn

    def _is_foreign(self, part: Part) -> bool:
        return isinstance(part, Native) and part.provider != self.owner

    def _break_silence(self, turn: dict[str, Any]) -> None:
        if self.silence == "absent":
            del turn["content"]
        else:
            turn["content"] = ""

    def _call(self, call: ToolCall) -> dict[str, Any]:
        text = call.text if call.text is not None else _written(dict(call.arguments), f"The arguments of the call of {call.name}")
        wire: dict[str, Any] = {
            "id": self._tool_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": text},
        }
        if isinstance(call.data, Mapping) and call.data.get("provider", "") in (None, self.owner):
            wire.update({key: value for key, value in call.data.items() if key != "provider"})
        return wire

    def _add_thoughts(self, turn: dict[str, Any], thoughts: list[Thinking]) -> None:
        text = "".join(thought.text for thought in thoughts)
        content = turn["content"]
        spoken = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        if self.replay in ("reasoning_content", "reasoning"):
            if text:
                turn[self.replay] = text
        elif self.replay == "reasoning_details":
            if details := _kept(thoughts, "reasoning_details"):
                turn["reasoning_details"] = details
        elif self.replay == "content":
            if blocks := _kept(thoughts, "content"):
                turn["content"] = [*blocks, *spoken]
        elif self.replay == "tags" and text:
            tagged = f"<think>{text}</think>"
            turn["content"] = [{"type": "text", "text": tagged}, *spoken] if isinstance(content, list) else tagged + (content or "")

    def _tool_message(self, result: ToolResult, aside: list[Part]) -> dict[str, Any]:
        text = result.text
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"  # the wire has no flag for it
        seen = [part for part in result.content if not isinstance(part, (Text, Thinking)) and not self._is_foreign(part)]
        if seen:
            aside += [Text(f"What the tool call {result.call_id} gave beside its text:"), *seen]
        return {"role": "tool", "tool_call_id": self._tool_id(result.call_id), "content": text}

    def _tool_id(self, call_id: str) -> str:
        if not self.short_tool_ids or (len(call_id) == 9 and call_id.isascii() and call_id.isalnum()):
            return call_id
        # The same id must come out wherever it stands in the history, and on every retry.
        digest = hashlib.sha256(call_id.encode("utf-8", "replace")).digest()
        return "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest[:9])


_ALPHANUMERIC = string.ascii_letters + string.digits
_ACCEPT = {False: "application/json", True: "text/event-stream"}
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _kept(thoughts: Iterable[Thinking], key: str) -> list[Any]:
    """Return what the provider wants back with *thoughts* in *key*, in its order."""
    kept = [thought.data.get(key) for thought in thoughts if isinstance(thought.data, Mapping)]
    return [item for items in kept if isinstance(items, list) for item in items]


def _written(value: Any, what: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None


def _dumps(body: dict[str, Any]) -> bytes:
    try:
        return _encode(body).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        # A lone surrogate, a NaN, or an object that JSON has no word for.
        msg = f"The request cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None
