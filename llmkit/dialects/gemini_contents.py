"""
A history as Gemini's ``contents``.

Rule 1: there are two speakers. What one of them says in a row is one content, except that the results of calls stand in a content of
        their own: all of a turn's, in the order of its calls.
Rule 2: what the model said goes back as it came: a part with a seal (``thoughtSignature``) is neither joined with another nor cut.
Rule 3: what only another provider could read is left out, and nothing else.

Source: Google AI for Developers, "Thought signatures" and "Function calling"; google-genai 3.4.0; recorded traffic; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field

from llmkit.dialects.framing import FramingError, loads
from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Media, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.values import define

__all__ = ["ANY_SEAL", "SEALS_NOTHING", "SEALS_TEXT", "Contents"]

# What ``Thinking.data`` is of a seal without a thought: it is that of the text before it, or came with an empty text.
SEALS_TEXT: Mapping[str, str] = {"seals": "text"}
SEALS_NOTHING: Mapping[str, str] = {"seals": "nothing"}

# Stands for the seal of a call that another model made: base64 of "skip_thought_signature_validator", the word which Google's
# documentation gives for it ("Thought signatures", FAQ).
ANY_SEAL = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
NAMELESS = "_"  # the name of a call that names no tool, as models write some

# What may stand inside the result of a call, where the model can look at it there.
SEEN_IN_RESULTS = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


@define(kw_only=True)
class Contents:
    """
    The history being written.

    Args:
        owner: Whose thoughts, seals and native parts may go back.
        demands_seals: Whether the first call of a turn is refused without one.
        sees_results: Whether a call's result may hold pictures and documents.
    """

    owner: str
    demands_seals: bool
    sees_results: bool
    contents: list[dict[str, Any]] = field(factory=list, init=False)
    system: list[dict[str, Any]] = field(factory=list, init=False)  # the parts of the system instruction
    _calls: dict[str, ToolCall] = field(factory=dict, init=False)  # by their ids, those of the last turn last
    _results: dict[str, Any] | None = field(default=None, init=False)  # the content of results that may still grow
    _aside: list[dict[str, Any]] = field(factory=list, init=False)  # what tools gave that a result cannot hold

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.name:
                msg = f"{self.owner} knows no names of speakers: say it in the text instead of with name={message.name!r}."
                raise ConfigurationError(msg)
            if message.role == "assistant":
                self._add_assistant(message)
            else:
                self._add_other(message)
        self._close_results()
        if self.contents and self.contents[0]["role"] == "model":
            # The first word is the user's, or the request is refused.
            self.contents.insert(0, {"role": "user", "parts": [{"text": "Hello."}]})
        if not self.contents and self.system:
            self.contents.append({"role": "user", "parts": self.system})
            self.system = []

    # -- turns

    def _add_other(self, message: Message) -> None:
        content = message.content
        if len(content) == 1 and isinstance(content[0], Text) and message.role == "user" and content[0].text:
            self._say("user", [{"text": content[0].text}])
            return
        results = [part for part in content if isinstance(part, ToolResult)]
        rest = [part for part in content if not isinstance(part, ToolResult)]
        if message.role == "tool" and (rest or not results):
            msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
            raise ConfigurationError(msg)
        for result in results:
            self._add_result(result)
        if results and not rest:
            return
        parts = [wire for part in rest if (wire := self._part(part)) is not None]
        if not parts:
            msg = f"A message has nothing in it that {self.owner} can read."
            raise ConfigurationError(msg)
        if message.role == "system":
            self._instruct(parts)
        else:
            self._say("user", parts)

    def _instruct(self, parts: list[dict[str, Any]]) -> None:
        if any("inlineData" in part or "fileData" in part for part in parts):
            msg = f"{self.owner} takes text only as a system message: put pictures, sounds and documents into a user's."
            raise ConfigurationError(msg)
        self.system.extend(parts)

    def _say(self, role: str, parts: list[dict[str, Any]]) -> None:
        self._close_results()
        contents = self.contents
        if contents and contents[-1]["role"] == role and "functionResponse" not in contents[-1]["parts"][-1]:
            contents[-1]["parts"].extend(parts)
        else:
            contents.append({"role": role, "parts": parts})

    def _add_assistant(self, message: Message) -> None:
        parts: list[dict[str, Any]] = []
        before: Part | None = None
        calls = False
        for part in message.content:
            if isinstance(part, ToolCall):
                calls = True
                parts.append(self._call(part))
            elif isinstance(part, Thinking):
                self._add_thought(part, before, parts)
            else:
                wire = self._part(part)
                if wire is not None:
                    parts.append(wire)
            before = part
        if not parts:
            return
        self._say("model", parts)
        if calls:
            self._note_calls(message.tool_calls, parts)

    def _note_calls(self, calls: Sequence[ToolCall], parts: list[dict[str, Any]]) -> None:
        for call in calls:
            self._calls.pop(call.id, None)
            self._calls[call.id] = call
        first = next(part for part in parts if "functionCall" in part)
        if self.demands_seals and "thoughtSignature" not in first:
            first["thoughtSignature"] = ANY_SEAL

    # -- results of calls

    def _add_result(self, result: ToolResult) -> None:
        call = self._calls.get(result.call_id)
        name = result.name or (call.name or NAMELESS if call is not None else "")
        if not name:
            msg = f"The result of {result.call_id!r} answers no call of this conversation, and does not say which tool it is of."
            raise ConfigurationError(msg)
        wire: dict[str, Any] = {"name": name, "response": _response(result)}
        call_id = result.call_id if call is None else self._wire_id(call)
        if call_id:
            wire["id"] = call_id
        self._add_media(result, wire)
        if self._results is None:
            self._results = {"role": "user", "parts": []}
            self.contents.append(self._results)
        self._results["parts"].append({"functionResponse": wire, "_of": result.call_id})

    def _add_media(self, result: ToolResult, wire: dict[str, Any]) -> None:
        inside: list[dict[str, Any]] = []
        aside: list[dict[str, Any]] = []
        for part in result.content:
            if isinstance(part, (Text, Thinking)):
                continue
            media = self._part(part)
            if media is None:
                continue
            fits = self.sees_results and isinstance(part, (Image, Document)) and part.data is not None
            (inside if fits and getattr(part, "media_type", "") in SEEN_IN_RESULTS else aside).append(media)
        if inside:
            wire["parts"] = inside
        if aside:
            self._aside += [{"text": f"What the tool call {result.call_id} gave beside its text:"}, *aside]

    def _close_results(self) -> None:
        if self._results is None:
            return
        parts = self._results["parts"]
        order = {call_id: number for number, call_id in enumerate(self._calls)}
        # Where calls have no ids, a result finds its call by the order alone.
        parts.sort(key=lambda part: order.get(part["_of"], len(order)))
        for part in parts:
            del part["_of"]
        self._results = None
        if self._aside:
            aside, self._aside = self._aside, []
            self.contents.append({"role": "user", "parts": aside})

    # -- parts

    def _add_thought(self, thought: Thinking, before: Part | None, parts: list[dict[str, Any]]) -> None:
        if thought.provider not in (None, self.owner):
            return
        seal = {} if thought.signature is None else {"thoughtSignature": thought.signature}
        sealed = thought.data.get("seals") if isinstance(thought.data, Mapping) else None
        if sealed == "text" and isinstance(before, Text) and parts and "text" in parts[-1]:
            parts[-1].update(seal)
        elif sealed is not None:
            if seal:
                parts.append({"text": "", **seal})
        elif thought.text or seal:
            parts.append({"text": thought.text, "thought": True, **seal})

    def _call(self, call: ToolCall) -> dict[str, Any]:
        # What the model wrote is no object: it is shown what it wrote.
        args = dict(call.arguments) if call.invalid is None else {"invalid": call.text or ""}
        wire: dict[str, Any] = {"name": call.name or NAMELESS, "args": args}
        call_id = self._wire_id(call)
        if call_id:
            wire["id"] = call_id
        return {"functionCall": wire, **self._kept(call)}

    def _wire_id(self, call: ToolCall) -> str | None:
        """Return the id of *call* as its model knows it: none, where the model gave it none."""
        data = call.data
        if isinstance(data, Mapping) and data.get("provider") == self.owner and "id" in data:
            return None
        return call.id

    def _kept(self, call: ToolCall) -> dict[str, Any]:
        """Return what stands beside *call* in its part, its seal above all."""
        data = call.data
        if not isinstance(data, Mapping):
            return {}
        if data.get("provider") == self.owner:
            return {key: value for key, value in data.items() if key not in ("provider", "id")}
        if data.get("provider", "") is None:
            # A dict in OpenAI's form, from Google's own compatible API, holds the same seal elsewhere.
            extra = data.get("extra_content")
            google = extra.get("google") if isinstance(extra, Mapping) else None
            seal = google.get("thought_signature") if isinstance(google, Mapping) else None
            return {"thoughtSignature": seal} if isinstance(seal, str) else {}
        return {}

    def _part(self, part: Part) -> dict[str, Any] | None:
        """Return one part; None for what is empty, or only another provider could read."""
        if isinstance(part, Text):
            return {"text": part.text} if part.text else None
        if isinstance(part, (Image, Audio, Document)):
            return _media(part)
        if isinstance(part, Native):
            return self._native(part) if part.provider == self.owner else None
        if isinstance(part, Thinking):
            return None
        msg = f"A {type(part).__name__} cannot stand in this message: calls belong to the assistant, results to a tool."
        raise ConfigurationError(msg)

    def _native(self, part: Native) -> dict[str, Any]:
        if not isinstance(part.data, Mapping):
            msg = f"A native part of {self.owner} is a dict as its API has it, such as {{'fileData': {{...}}}}."
            raise ConfigurationError(msg)
        return dict(part.data)


def _media(part: Media) -> dict[str, Any]:
    if part.url is None:
        return {"inlineData": {"mimeType": part.media_type, "data": part.base64()}}
    if part.url.startswith("data:"):
        head, _, data = part.url[5:].partition(",")
        media_type, _, coding = head.partition(";")
        if coding.rpartition(";")[2] != "base64":
            msg = "A data: URL must be in base64 here."
            raise ConfigurationError(msg)
        return {"inlineData": {"mimeType": media_type or "application/octet-stream", "data": data}}
    kind = {"mimeType": part.media_type} if part.media_type else {}
    return {"fileData": {"fileUri": part.url, **kind}}


def _response(result: ToolResult) -> dict[str, Any]:
    """Return what a tool gave as the object it must be here: its own, or one with the word for results or for errors."""
    text = result.text
    if result.is_error:
        return {"error": text}
    if text.startswith("{"):
        try:
            value = loads(text)
        except FramingError:
            return {"output": text}
        # These two words would be taken for ours.
        if isinstance(value, dict) and not value.keys() & {"output", "error"}:
            return value
    return {"output": text}
