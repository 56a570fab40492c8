"""Where calls go: the endpoints in the order in which they are asked, requests checked against them, and calls made ready."""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkit._fork import renewed_in_child
from llmkit.asking import checked_request, unsupported
from llmkit.call import Call, Job, Other
from llmkit.cancelling import Cancellable
from llmkit.catalogue.facts import is_embedding_model
from llmkit.dialects.base import Place
from llmkit.endpoints import Endpoint, Endpoints
from llmkit.errors import ConfigurationError, LLMKitError, UnsupportedParameterError
from llmkit.hooks import Hooks
from llmkit.jobs import completion_job, counting_job, embedding_job, listing_job, operation_job
from llmkit.metering import Tracker, current_trackers
from llmkit.models.reading import as_messages
from llmkit.models.request import check_seconds
from llmkit.models.response import CompletionResponse
from llmkit.providers import embedding_providers
from llmkit.resilience.budget import Amount, Budget, Reservation, current_budgets, reserve
from llmkit.resilience.deadline import Deadline, current_deadline
from llmkit.settings import Settings
from llmkit.strategies import Candidate, ranked
from llmkit.transport.base import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from llmkit.cache.base import ResponseCache
    from llmkit.cache.calls import CachedCall, Caching
    from llmkit.counting import Counting
    from llmkit.dialects.embedding import Embedder, Limits
    from llmkit.embedding.work import Embedding
    from llmkit.mending import Mending
    from llmkit.models.embedding import EmbeddingRequest, EmbeddingResponse
    from llmkit.models.info import Explanation, HealthReport, ModelInfo
    from llmkit.resilience.hedge import HedgePolicy
    from llmkit.resilience.pacing import Tempo

__all__ = ["Router", "given"]


class Router:
    """Everything of a client that is neither sync nor async."""

    def __init__(self, settings: Settings) -> None:
        self.hooks = Hooks(settings.hooks)
        self._endpoints = Endpoints(settings, self.hooks)
        self.settings = self._endpoints.settings
        self.sharing = self._endpoints.sharing
        self._reserve = self._reserving()
        self._candidates = self._others()
        self._turns = itertools.count()
        self._hedging = self._made_hedging()
        self.active: set[Cancellable] = set()
        self.cache = self._opened_cache()
        self._own_caching: Caching | None = None
        self.closed = False
        self.tracker = Tracker()
        renewed_in_child(self)

    def renew(self) -> None:
        """Forget the calls in flight: in a forked child they are the parent's."""
        self.active.clear()

    def _made_hedging(self) -> HedgePolicy | None:
        if self.settings.hedge is None:
            return None
        from llmkit.resilience.hedge import HedgePolicy

        return HedgePolicy(self.settings.hedge)

    def _opened_cache(self) -> ResponseCache | None:
        if self.settings.cache is None:
            return None
        from llmkit.cache.opening import open_cache

        return open_cache(self.settings.cache, self.settings.shared)

    def _reserving(self) -> Callable[..., Reservation]:
        """Return how money is set aside: in this process, or for all."""
        if self.sharing is None:
            return reserve
        own, first = self.settings.budget, self._endpoints.default
        return partial(self.sharing.reserve, None if own is None else (own, f"of {first.label} {first.base_url}"))

    def flush(self) -> None:
        """Write what others should still learn. Blocks for a second at most."""
        if self.sharing is not None:
            self.sharing.flush()

    @property
    def default(self) -> Endpoint:
        """The client's own endpoint."""
        return self._endpoints.default

    def endpoint(self, model: Any) -> Endpoint:
        """Return the endpoint for *model*, or the client's own. Raises ``ConfigurationError`` if it cannot be told."""
        if model is not None and (not isinstance(model, str) or not model):
            msg = f"model= of one call is the name of a model, not {model!r}; several, or a Target, are given to the client."
            raise ConfigurationError(msg)
        return self.default if model is None else self._endpoints.find(model)

    def places(self, model: str | None) -> tuple[Endpoint, ...]:
        """Return where a call may go: first where it goes first, unless the client has a strategy and no *model* is named."""
        first = self.endpoint(model)
        return (first, *(other.endpoint for other in self._candidates if other.endpoint is not first))

    def reserve(self, estimate: Amount, budgets: Sequence[Budget]) -> Reservation:
        """Set *estimate* aside in *budgets*, as a call does. May block where something is shared. Raises ``BudgetExceededError``."""
        return self._reserve(estimate, budgets, what=self.default.label)

    def completion(
        self,
        messages: Any,
        *,
        model: str | None,
        stream: bool,
        timeout: float | None,
        deadline: float | None,
        parameters: Mapping[str, Any],
        cache: bool | None = None,
        repair: int = 0,
    ) -> Call[CompletionResponse]:
        """
        Return the call that completes *messages*; everything wrong with it is refused here, before a byte is sent.

        *parameters* holds those that were said, none of them None.
        """
        if repair != 0:
            messages = as_messages(messages)  # they may be needed once more

        def job(endpoint: Endpoint) -> Job[CompletionResponse]:
            return self._completing(endpoint, messages, stream=stream, parameters=parameters)

        first, *others = self._order(model)
        call = self._call(
            first.endpoint,
            job(first.endpoint),
            others=[Other(endpoint=other.endpoint, job=partial(job, other.endpoint), on=other.on) for other in others],
            timeout=timeout,
            deadline=deadline,
        )
        call.caching = self._caching(cache)
        if repair != 0:
            again = partial(self.completion, model=model, stream=stream, timeout=timeout, deadline=None, parameters=parameters, cache=cache)
            call.mending = _mending(call, messages, again, repair)
        return call

    def _others(self) -> tuple[Candidate, ...]:
        """Return the endpoints beside the client's own. Raises ``ConfigurationError`` if one cannot be made: now, not in an outage."""
        found = []
        for target in self.settings.fallbacks:
            endpoints = Endpoints(self.settings.at(target), self.hooks) if target.own else self._endpoints
            endpoint = endpoints.default if target.own else endpoints.find(target.model)
            found.append(Candidate(endpoint, target.weight, target.on))
        return tuple(found)

    def _order(self, model: str | None) -> list[Candidate]:
        """Return where a call goes, in order. A model named with the call comes first, whatever the strategy."""
        if not self._candidates:
            return [Candidate(self.endpoint(model))]
        if model is not None:
            named = self.endpoint(model)
            return [Candidate(named), *(other for other in self._candidates if other.endpoint is not named)]
        own = Candidate(self.default, self.settings.weight)
        return ranked(self.settings.strategy, (own, *self._candidates), turn=next(self._turns), chance=random.random)

    def _completing(self, endpoint: Endpoint, messages: Any, *, stream: bool, parameters: Mapping[str, Any]) -> Job[CompletionResponse]:
        request, _ = checked_request(endpoint, self.settings, messages, stream=stream, parameters=parameters)
        return completion_job(endpoint, request)

    def embedding(
        self,
        inputs: Any = None,  # None is refused as such, and not as an argument that is missing
        *,
        model: str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        max_concurrency: Any = 1,
        progress: Any = None,
        checkpoint: Any = None,
        resume: Any = True,
        **parameters: Any,
    ) -> Embedding:
        """
        Return the work of embedding *inputs*; everything wrong with them is refused here, before a byte is sent.

        *parameters* holds those that were said, none of them None.
        """
        from llmkit.embedding.cutting import check_not_empty
        from llmkit.embedding.work import Embedding
        from llmkit.journal.journal import check_place
        from llmkit.models.embedding import make_embedding_request

        began = time.monotonic()
        self._check_open()
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            msg = f"max_concurrency is a whole number of at least 1, not {max_concurrency!r}."
            raise ConfigurationError(msg)
        check_place(checkpoint, resume)
        for name, seconds in (("timeout", timeout), ("deadline", deadline)):
            if seconds is not None:
                check_seconds(name, seconds)
        endpoint, embedder = self._embedder(model)
        provider = endpoint.provider.name
        unknown = sorted(parameters.keys() - embedder.parameters)
        if unknown and not self.settings.drop_params:
            raise unsupported(provider, unknown, provider)
        said = {parameter: value for parameter, value in parameters.items() if parameter not in unknown}
        request = make_embedding_request(inputs, model=endpoint.model, **said)
        if not embedder.takes_empty:
            check_not_empty(request.inputs, provider)

        def make_call(piece: EmbeddingRequest) -> Call[EmbeddingResponse]:
            return self._call(endpoint, embedding_job(embedder, piece), timeout=timeout, deadline=deadline, since=began)

        return Embedding(
            request,
            to=endpoint.label,
            make_call=make_call,
            limits=_within(endpoint, embedder.limits(request.model)),
            at_once=max_concurrency,
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
            tempo=self.tempo(one_deadline=True),
        )

    def tempo(self, *, one_deadline: bool = False) -> Tempo:
        """Return the pace of one piece of work, made of many calls, which may have *one_deadline* together."""
        from llmkit.resilience.pacing import Tempo

        return Tempo(self.settings.retry, one_deadline=one_deadline)

    def embedding_label(self, model: str | None) -> str:
        """Return which model embeds, where a user says *model*, by its provider and name."""
        return self._embedder(model)[0].label

    def _embedder(self, model: str | None) -> tuple[Endpoint, Embedder]:
        """Return the endpoint of the model that embeds, and its wire. A model that chats is never taken for one."""
        endpoint = self.endpoint(model)
        provider, embedder = endpoint.provider, endpoint.embedder
        if embedder is None:
            others = ", ".join(embedding_providers())
            msg = f"{provider.name} has no embeddings. Name a model of one that has, such as {others}: model='provider/model'."
            raise UnsupportedParameterError(msg, "embed", provider.name)
        if model is not None or not provider.completes or is_embedding_model(endpoint.model):
            return endpoint, embedder
        if provider.embedding_model is None:
            msg = f"Which of {provider.name}'s models is to embed? Name it: model='...'. ({endpoint.model!r} is one that chats.)"
            raise ConfigurationError(msg)
        return self.endpoint(provider.embedding_model), embedder

    def counting(
        self,
        messages: Any = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        **parameters: Any,
    ) -> Counting:
        """Return the question how many tokens *messages* are; *parameters* holds those that were said, none of them None."""
        from llmkit.counting import Counting

        endpoint = self.endpoint(model)
        request, _ = checked_request(endpoint, self.settings, messages, stream=False, parameters=parameters)
        counter = endpoint.counter
        if counter is None:
            return Counting(request=request, call=None)
        call = self._call(endpoint, counting_job(counter, request), timeout=timeout, deadline=deadline)
        return Counting(request=request, call=call, not_counted=counter.not_counted)

    def cached(self, call: Call[CompletionResponse]) -> CachedCall | None:
        """Return the dealings of *call* with the client's cache; None where it has none with it."""
        if call.caching is None:
            return None
        from llmkit.cache.calls import CachedCall

        return CachedCall(call, call.caching)

    def _caching(self, wanted: Any) -> Caching | None:
        if wanted is not None and not isinstance(wanted, bool):
            msg = f"cache= of one call is True or False, not {type(wanted).__name__}; a cache is given to the client."
            raise ConfigurationError(msg)
        if self.cache is None and wanted:
            msg = "This client has no cache: make it with cache=True, a file's path, a redis:// address or a cache."
            raise ConfigurationError(msg)
        if self.cache is None or wanted is False:
            return None
        if self._own_caching is None:
            from llmkit.cache.calls import Caching

            self._own_caching = Caching(self.cache)
        return self._own_caching

    @property
    def own_cache(self) -> ResponseCache | None:
        """The cache that was made for this client alone, and ends with it."""
        return None if self.cache is self.settings.cache else self.cache

    def batched(self, messages: Any, *, model: str | None, parameters: Mapping[str, Any]) -> Call[CompletionResponse]:
        """Return the call whose request goes into a batch at the provider, and whose answer comes out of it: it is never sent."""
        endpoint = self.endpoint(model)
        request, _ = checked_request(endpoint, self.settings, messages, stream=False, parameters=parameters)
        return self._call(endpoint, completion_job(endpoint, request, batched=True), timeout=None, deadline=None)

    def operation(
        self, encode: Callable[[Place], HttpRequest | None], decode: Callable[[HttpResponse], Any], *, once: bool = False
    ) -> Call[Any]:
        """
        Return the call that does something at the client's own endpoint which is no completion.

        *once* says that it is not to be tried again, not even where a kept connection seems to have been gone.
        """
        call = self._call(self.default, operation_job(encode, decode), timeout=None, deadline=None)
        if once:
            call.policy = None
            call.first("stale")
        return call

    def listing(self, *, model: str | None = None, timeout: float | None = None) -> Call[list[ModelInfo]]:
        """Return the call that lists the models at an endpoint."""
        endpoint = self.endpoint(model)
        dialect = endpoint.dialect
        if dialect.encode_models(endpoint.place) is None:
            msg = f"{endpoint.provider.name} has no list of its models."
            raise UnsupportedParameterError(msg, "models", endpoint.provider.name)
        return self._call(endpoint, listing_job(dialect), timeout=timeout, deadline=None)

    def probe(self, *, model: str | None, timeout: float | None) -> Call[Any]:
        """Return the cheapest call that shows whether an endpoint answers and takes the key."""
        from llmkit.models.embedding import make_embedding_request

        endpoint = self.endpoint(model)
        if endpoint.dialect.encode_models(endpoint.place) is not None:
            return self.listing(model=model, timeout=timeout)
        if not endpoint.provider.completes:
            endpoint, embedder = self._embedder(model)
            ping = make_embedding_request("ping", model=endpoint.model)
            return self._call(endpoint, embedding_job(embedder, ping), timeout=timeout, deadline=None)
        parameters = {"max_tokens": 1}
        return self.completion("ping", model=model, stream=False, timeout=timeout, deadline=None, parameters=parameters, cache=False)

    def explain(self, messages: Any, *, model: str | None, stream: bool, parameters: Mapping[str, Any]) -> Explanation:
        """Return what ``completion`` would send. Sends nothing, and leases no key."""
        import json

        from llmkit.catalogue.estimates import estimate_cost, estimate_usage
        from llmkit.models.info import Explanation

        endpoint = self.endpoint(model)
        said = {name: value for name, value in parameters.items() if value is not None}
        request, dropped = checked_request(endpoint, self.settings, messages, stream=stream, parameters=said)
        http = endpoint.dialect.encode(request, endpoint.place)
        endpoint.finish_headers(http)
        shown = {name: value if name.lower() in _SHOWN else "***" for name, value in http.headers.items()}
        estimate = estimate_usage(request, endpoint.provider, endpoint.model)
        credential = getattr(endpoint.auth, "header", None) if endpoint.pool is not None or endpoint.renewable is not None else None
        if credential is not None:
            shown[credential] = "***"
        return Explanation(
            provider=endpoint.provider.name,
            model=endpoint.model,
            method=http.method,
            url=http.url,
            headers=shown,
            body=json.loads(http.body),
            key=endpoint.pool.next_label(endpoint.model) if endpoint.pool is not None else None,
            reasons=(*endpoint.reasons, *self._reasons_of_others(endpoint, messages, stream, said)),
            dropped=tuple(dropped),
            estimated_input_tokens=estimate.input_tokens,
            estimated_output_tokens=estimate.output_tokens,
            estimated_cost=estimate_cost(request, endpoint.provider, endpoint.model),
        )

    def _reasons_of_others(self, first: Endpoint, messages: Any, stream: bool, parameters: Mapping[str, Any]) -> Iterator[str]:
        for other in self._candidates:
            if other.endpoint is first:
                continue
            try:
                self._completing(other.endpoint, messages, stream=stream, parameters=parameters).encode(other.endpoint.place)
            except LLMKitError as error:
                yield f"The fallback {other.endpoint.label} cannot take this request: {error.message}"
            else:
                yield f"If that fails, it goes on to {other.endpoint.label} at {other.endpoint.origin}."

    def cancel_all(self) -> int:
        """End every call in flight and return how many there were."""
        calls = list(self.active)
        for call in calls:
            call.cancel()
        return len(calls)

    def _hedge_after(self, endpoint: Endpoint, job: Job[Any]) -> float | None:
        if self._hedging is None or endpoint.traffic is None or job.request is None:
            return None
        return self._hedging.delay(endpoint.traffic)

    def report(self, call: Call[Any], error: LLMKitError | None = None) -> HealthReport:
        """Return what a probe came to."""
        from llmkit.models.info import HealthReport

        endpoint = call.endpoint
        return HealthReport(
            ok=error is None,
            provider=endpoint.provider.name,
            model=endpoint.model,
            endpoint=endpoint.origin,
            latency=call.clock() - call.started,
            error=str(error) if error is not None else None,
            kind=error.kind if error is not None else None,
            breaker=str(endpoint.breaker.state) if endpoint.breaker is not None else "off",
            keys={row["label"]: row["state"] for row in endpoint.pool.snapshot()} if endpoint.pool is not None else {},
            attempts=tuple(call.attempts),
        )

    def _check_open(self) -> None:
        if self.closed:
            msg = "This client was closed; make a new one."
            raise ConfigurationError(msg)

    def _call(
        self,
        endpoint: Endpoint,
        job: Job[Any],
        *,
        others: Sequence[Other[Any]] = (),
        timeout: float | None,
        deadline: float | None,
        since: float | None = None,
    ) -> Call[Any]:
        self._check_open()
        settings = self.settings
        ambient = current_deadline()
        seconds = settings.deadline if deadline is None else check_seconds("deadline", deadline)
        own = Deadline(at=(time.monotonic() if since is None else since) + seconds) if seconds is not None else None
        return Call(
            job=job,
            endpoint=endpoint,
            others=list(others),
            policy=settings.retry,
            deadline=Deadline.tightest(own, ambient) if ambient is not None else own,
            deadline_to_end=deadline is not None or ambient is not None,
            timeout=settings.timeout if timeout is None else check_seconds("timeout", timeout),
            idle_timeout=settings.idle_timeout,
            hedging=self._hedging,
            hedge_after=self._hedge_after(endpoint, job),
            hooks=self.hooks,
            active=self.active,
            trackers=(self.tracker, *current_trackers()),
            reserving=self._reserve,
            budgets=current_budgets() if settings.budget is None else (settings.budget, *current_budgets()),
        )


_SHOWN = frozenset({"content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta"})


def _within(endpoint: Endpoint, limits: Limits) -> Limits:
    """Return what one request may hold: no more either than the client's own limit gives at once."""
    most = None if endpoint.limiter is None else endpoint.limiter.most_tokens
    if most is None:
        return limits
    # Half of it: it is an estimate on either side, and the other half can go out with the next.
    return limits._replace(tokens=min(int(most / 2), limits.tokens or sys.maxsize))


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said of a method's *arguments*: all that are not None, without its object."""
    return {name: value for name, value in arguments.items() if value is not None and name != "self"}


def _mending(call: Call[CompletionResponse], messages: Any, again: Callable[[Any], Call[CompletionResponse]], repair: int) -> Mending:
    from llmkit.mending import Mending, check_repair

    request = call.job.request
    if request is None or request.response_format is None:
        msg = "repair says nothing without response_format."
        raise ConfigurationError(msg)
    return Mending(messages=messages, ask=again, left=check_repair(repair))
