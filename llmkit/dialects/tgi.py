"""
Text Generation Inference's own wire: a prompt in, its continuation out.

It knows no messages, so they are written into the prompt by a template. Posted to ``/``, where the server streams or not as the body
says; behind SageMaker that is the only place.

Source: huggingface/text-generation-inference at db931fcf, ``router/src/lib.rs``, ``validation.rs`` and ``sagemaker.rs``, read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field

from llmkit.dialects import tgi_answers
from llmkit.dialects.base import Place, StreamDecoder, WireError, merged
from llmkit.dialects.tgi_prompts import TEMPLATES, prompt
from llmkit.dialects.wire_json import body_of
from llmkit.errors import ConfigurationError
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.info import ModelInfo

__all__ = ["TGI"]

_SAYS = frozenset(
    {
        *("max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "response_format"),
        *("extra_body", "extra_headers"),
    }
)


@frozen(kw_only=True)
class TGI:
    """
    A server's ``generate``.

    Args:
        owner: The provider's name.
        template_option: The option that names how messages become a prompt, one of ``TEMPLATES``.
    """

    name: str = "tgi"
    owner: str = "tgi"
    template_option: str = "chat_template"
    parameters: frozenset[str] = field(default=_SAYS, init=False, repr=False)

    def encode(self, request: CompletionRequest, place: Place) -> HttpRequest:
        chosen = place.options.get(self.template_option) or "plain"
        if chosen not in TEMPLATES:
            msg = f"The option {self.template_option!r} is one of {', '.join(TEMPLATES)}, not {chosen!r}."
            raise ConfigurationError(msg)
        body: dict[str, Any] = {"inputs": prompt(request.messages, TEMPLATES[chosen]), "parameters": _parameters(request)}
        if request.stream:
            body["stream"] = True
        return HttpRequest(
            method="POST",
            url=f"{place.base_url}/",
            headers=Headers(
                {
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream" if request.stream else "application/json",
                    **(request.extra_headers or {}),
                }
            ),
            body=body_of(merged(body, request.extra_body)),
        )

    def decode(self, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
        return tgi_answers.decode(response, request)

    def decoder(self, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
        from llmkit.dialects.tgi_stream import decoder  # not needed by those who only want whole answers

        return decoder(response, request)

    def fault(self, response: HttpResponse) -> Fault:
        return tgi_answers.read_fault(response)

    def concession(self, fault: Fault, request: CompletionRequest) -> str | None:
        return None

    def encode_models(self, place: Place) -> HttpRequest | None:
        return None

    def decode_models(self, response: HttpResponse) -> list[ModelInfo]:
        raise WireError.malformed("This server lists no models.", response)


def _parameters(request: CompletionRequest) -> dict[str, Any]:
    # Without details nobody learns why it stopped, and some versions repeat the prompt unless told otherwise.
    made: dict[str, Any] = {"details": True, "return_full_text": False}
    for name, wire in (
        ("max_tokens", "max_new_tokens"),
        ("top_k", "top_k"),
        ("seed", "seed"),
        ("frequency_penalty", "frequency_penalty"),
    ):
        value = getattr(request, name)
        if value is not None:
            made[wire] = value
    if request.temperature == 0:
        made["do_sample"] = False  # zero itself is refused; it means the likeliest word each time
    elif request.temperature is not None:
        made["temperature"] = request.temperature
    if request.top_p is not None and request.top_p < 1:
        made["top_p"] = request.top_p  # one itself is refused; it means all words, as does saying nothing
    if request.stop is not None:
        made["stop"] = list(request.stop)
    if request.response_format is not None:
        made["grammar"] = {"type": "json", "value": request.response_format.schema or {"type": "object"}}
    return made
