"""What calls are made for: how each kind of request is written and its answer read, finished, and charged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.call import Call, Job
from llmkit.catalogue.registry import cost_of
from llmkit.dialects.base import Dialect, Place
from llmkit.endpoints import Endpoint
from llmkit.errors import StructuredOutputError
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason, priced, sealed
from llmkit.models.usage import TokenCount, Usage
from llmkit.transport.base import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from llmkit.dialects.embedding import Embedder, TokenCounter
    from llmkit.models.embedding import EmbeddingRequest, EmbeddingResponse
    from llmkit.models.info import ModelInfo

__all__ = ["completion_job", "counting_job", "embedding_job", "listing_job", "operation_job"]


def completion_job(endpoint: Endpoint, request: CompletionRequest, *, batched: bool = False) -> Job[CompletionResponse]:
    """Return what completes *request* at *endpoint*; *batched* answers have the price of the provider's batches."""
    dialect = endpoint.dialect
    return Job(
        encode=lambda place: dialect.encode(request, place),
        decode=lambda response: dialect.decode(response, request),
        finish=_finish_completion,
        charge=_charge_batched if batched else _charge_completion,
        foresee=lambda endpoint: _foreseen(request, endpoint),
        request=request,
    )


def embedding_job(embedder: Embedder, request: EmbeddingRequest) -> Job[EmbeddingResponse]:
    """Return what embeds the texts of *request*."""
    return Job(
        encode=lambda place: embedder.encode(request, place),
        decode=lambda response: embedder.decode(response, request),
        finish=_finish_embedding,
        charge=_charge_embedding,
        foresee=lambda _: _foreseen_embedding(request),
    )


def counting_job(counter: TokenCounter, request: CompletionRequest) -> Job[TokenCount]:
    """Return what has the tokens of *request* counted by the provider."""
    from llmkit.counting import counted

    return Job(
        encode=lambda place: counter.encode(request, place),
        decode=lambda response: TokenCount(counter.decode(response)),
        finish=counted,
    )


def operation_job(encode: Callable[[Place], HttpRequest | None], decode: Callable[[HttpResponse], Any]) -> Job[Any]:
    """Return what does something else at an endpoint; *encode* gives a request for certain."""
    return Job(encode=_certain(encode), decode=decode, finish=_finish_operation)


def listing_job(dialect: Dialect) -> Job[list[ModelInfo]]:
    """Return what lists the models of an endpoint that does."""
    return Job(encode=_certain(dialect.encode_models), decode=dialect.decode_models, finish=_finish_listing)


def _certain(encode: Callable[[Place], HttpRequest | None]) -> Callable[[Place], HttpRequest]:
    def encoded(place: Place) -> HttpRequest:
        request = encode(place)
        assert request is not None  # whoever has nothing to send makes no call
        return request

    return encoded


def _foreseen(request: CompletionRequest, endpoint: Endpoint) -> Usage:
    from llmkit.catalogue.estimates import estimate_usage

    return estimate_usage(request, endpoint.provider, endpoint.model)


def _foreseen_embedding(request: EmbeddingRequest) -> Usage:
    from llmkit.embedding.cutting import estimate_inputs

    return Usage(input_tokens=estimate_inputs(request))


def _charge_completion(answer: CompletionResponse, call: Call[CompletionResponse], *, batch: bool = False) -> None:
    endpoint = call.endpoint
    provider, usage = endpoint.provider, answer.usage
    cost, charged = answer.cost, None  # a provider in Python may say it itself
    if cost is None and isinstance(answer.raw, dict):
        cost = provider.reported_cost(answer.raw) if provider.reported_cost is not None else None
        charged = provider.charges(answer.raw) if provider.charges is not None else None
    if cost is None:
        # Not by the model that answered where the one asked for is known: its name is the one that the user may have registered.
        cost = cost_of(provider, charged or usage, endpoint.model, answer.model, batch=batch)
    priced(answer, cost)
    for tracker in call.trackers:
        tracker.add(endpoint.label, usage, cost)


def _charge_batched(answer: CompletionResponse, call: Call[CompletionResponse]) -> None:
    _charge_completion(answer, call, batch=True)


def _charge_embedding(answer: EmbeddingResponse, call: Call[EmbeddingResponse]) -> None:
    endpoint = call.endpoint
    cost = cost_of(endpoint.provider, answer.usage, endpoint.model, answer.model)
    priced(answer, cost)
    for tracker in call.trackers:
        tracker.add(endpoint.label, answer.usage, cost)


def _finish_completion(answer: CompletionResponse, call: Call[CompletionResponse]) -> CompletionResponse:
    finished = sealed(
        answer,
        provider=call.endpoint.provider.name,
        attempts=tuple(call.attempts),
        elapsed=call.clock() - call.started,
    )
    request = call.job.request
    if request is None or request.response_format is None or finished.tool_calls:
        return finished
    return evolve(finished, parsed=_parsed(finished, request))


def _parsed(answer: CompletionResponse, request: CompletionRequest) -> Any:
    from llmkit.structured import parse

    assert request.response_format is not None  # asked for
    if answer.finish_reason in (FinishReason.REFUSAL, FinishReason.CONTENT_FILTER, FinishReason.LENGTH):
        why = {"length": "was cut at max_tokens", "refusal": "is a refusal", "content_filter": "was filtered"}[answer.finish_reason.value]
        msg = f"The answer {why}, so it is not the JSON that was asked for."
        raise _with_answer(StructuredOutputError(msg, answer.text), answer)
    try:
        return parse(request.response_format, answer.text)
    except StructuredOutputError as error:
        _with_answer(error, answer)
        raise


def _with_answer(error: StructuredOutputError, answer: CompletionResponse) -> StructuredOutputError:
    error.attempts, error.response = answer.attempts, answer
    return error


def _finish_embedding(answer: EmbeddingResponse, call: Call[EmbeddingResponse]) -> EmbeddingResponse:
    return evolve(answer, provider=call.endpoint.provider.name, attempts=tuple(call.attempts), elapsed=call.clock() - call.started)


def _finish_operation(answer: Any, call: Call[Any]) -> Any:
    return answer


def _finish_listing(models: list[ModelInfo], call: Call[list[ModelInfo]]) -> list[ModelInfo]:
    return [evolve(model, provider=call.endpoint.provider.name) for model in models]
