"""A whole answer where a stream was asked for: some servers do not stream, and all of them may answer with an error instead."""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import field

from llmkit.dialects.base import WireError
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.content import Message, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import BODY_LIMIT, HttpResponse
from llmkit.values import define

__all__ = ["WholeAnswer"]


@define(kw_only=True, eq=False)
class WholeAnswer:
    """
    A ``StreamDecoder`` for a body that is one document: an answer, or an error with a good status.

    Args:
        answer_to: The reply's head.
        asked: The model that was asked.
        read: Decodes the whole reply.
    """

    answer_to: HttpResponse
    asked: str
    read: Callable[[HttpResponse], CompletionResponse]
    ended: bool = False
    _body: bytearray = field(factory=bytearray, init=False)
    _answer: CompletionResponse | None = field(default=None, init=False)

    def feed(self, data: bytes) -> list[CompletionChunk]:
        self._body += data
        if len(self._body) > BODY_LIMIT:
            message = f"The reply is longer than {BODY_LIMIT} bytes."
            raise WireError(Fault(status=self.answer_to.status, kind="response_too_large", message=message))
        return []

    def finish(self) -> list[CompletionChunk]:
        if self.ended:
            return []
        whole = HttpResponse(status=self.answer_to.status, headers=self.answer_to.headers, body=bytes(self._body))
        answer = self._answer = self.read(whole)
        self.ended = True
        calls = [
            CompletionChunk(tool_call=ToolCallDelta(index, call.id, call.name, _arguments(call)))
            for index, call in enumerate(answer.tool_calls)
        ]
        return [*calls, CompletionChunk(answer.text, answer.thinking, None, answer.finish_reason, answer.usage, answer.raw)]

    def response(self) -> CompletionResponse:
        return self._answer or CompletionResponse(message=Message("assistant"), model=self.asked)


def _arguments(call: ToolCall) -> str:
    return call.text if call.text is not None else json.dumps(dict(call.arguments), ensure_ascii=False)
