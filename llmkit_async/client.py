"""The asyncio face: ``llmkit.client`` with ``await`` in it, and nothing decided here either."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from llmkit.errors import ConfigurationError, LLMKitError
from llmkit.resilience.backing import abacked_off
from llmkit.resilience.breaker import CircuitBreaker, CircuitBreakerConfig
from llmkit.resilience.retry import RetryConfig
from llmkit.routing import Router, given
from llmkit.settings import Settings
from llmkit.transport.standing_in import atransport_for
from llmkit_async._cached import answered
from llmkit_async._mending import mended
from llmkit_async.beginning import begun
from llmkit_async.hedging import raced
from llmkit_async.streaming import AsyncCompletionStream, more

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from llmkit.batch.items import BatchItem, BatchResult
    from llmkit.cache.base import ResponseCache
    from llmkit.call import Call
    from llmkit.config.values import LLMConfig
    from llmkit.detection import Detection
    from llmkit.exchange import Exchange
    from llmkit.hooks import Hook
    from llmkit.journal.journal import Resume
    from llmkit.loop.results import RunResult, Step
    from llmkit.models.content import Messages, ToolCall
    from llmkit.models.embedding import EmbeddingResponse
    from llmkit.models.estimator import UsageEstimator
    from llmkit.models.info import Explanation, HealthReport, ModelInfo
    from llmkit.models.request import Reasoning
    from llmkit.models.response import CompletionResponse
    from llmkit.models.usage import TokenCount
    from llmkit.progress import ProgressArgument
    from llmkit.providers import LocalProvider, Provider
    from llmkit.resilience.budget import Amount, Budget
    from llmkit.resilience.hedge import Hedge
    from llmkit.resilience.keys import APIKeyPool
    from llmkit.resilience.rates import RateLimit, TokenBucket
    from llmkit.shared.address import Shared
    from llmkit.strategies import Strategy
    from llmkit.targets import Target
    from llmkit.transport.base import AsyncTransport
    from llmkit.transport.standing_in import TransportMaker
    from llmkit_async.running import AsyncRunStream

__all__ = ["AsyncClient"]

Answer = TypeVar("Answer")
P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient:
    """
    One typed call to any language model.

    ``(await AsyncClient("openai/gpt-4o-mini").complete("Say hi")).text``; with nothing given, the provider is found by itself.
    For any number of loops, threads and tasks, and usable after ``fork()``. The arguments are those of ``llmkit.Client``. Making one does
    not wait for the network, except that with nothing given and nothing configured an Ollama is looked for: 300 ms at most.

    Raises:
        ConfigurationError: If something given is wrong or something needed is missing; nothing was sent.
    """

    def __init__(
        self,
        model: str | Target | Sequence[str | Target] | None = None,
        *,
        provider: str | Provider | LocalProvider | None = None,
        api_key: str | None = None,
        api_keys: Sequence[str] | APIKeyPool | None = None,
        auth: str | Callable[[], Mapping[str, str]] | bool | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        deadline: float | None = 600.0,
        retry: RetryConfig | Mapping[str, Any] | None = RetryConfig(),  # noqa: B008 - frozen
        circuit_breaker: CircuitBreakerConfig | Mapping[str, Any] | None = CircuitBreakerConfig(),  # noqa: B008 - frozen
        rate_limit: RateLimit | TokenBucket | Mapping[str, Any] | None = None,
        fallbacks: Sequence[str | Target | Mapping[str, Any]] = (),
        hedge: Hedge | Mapping[str, Any] | None = None,
        cache: ResponseCache | str | os.PathLike[str] | bool | None = None,
        budget: Amount | Budget | None = None,
        transport: AsyncTransport | TransportMaker | None = None,
        default_headers: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        hooks: Sequence[Hook] = (),
        shared: str | Shared | None = None,
        strategy: Strategy = "fallback",
        capabilities: Mapping[str, Any] | None = None,
        drop_params: bool = False,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
        trust_env: bool = True,
        allow_insecure: bool = False,
        untrusted_base_url: bool = False,
        max_connections: int = 100,
        idle_timeout: float = 300.0,
        pickle_keys: bool = False,
        **defaults: Any,
    ) -> None:
        self._start(
            Settings.of(
                model=model,
                provider=provider,
                api_key=api_key,
                api_keys=api_keys,
                auth=auth,
                base_url=base_url,
                timeout=timeout,
                deadline=deadline,
                retry=retry,
                circuit_breaker=circuit_breaker,
                rate_limit=rate_limit,
                fallbacks=fallbacks,
                hedge=hedge,
                cache=cache,
                budget=budget,
                transport=transport,
                default_headers=default_headers,
                options=options,
                hooks=hooks,
                shared=shared,
                strategy=strategy,
                capabilities=capabilities,
                drop_params=drop_params,
                verify=verify,
                cert=cert,
                proxies=proxies,
                trust_env=trust_env,
                allow_insecure=allow_insecure,
                untrusted_base_url=untrusted_base_url,
                max_connections=max_connections,
                idle_timeout=idle_timeout,
                pickle_keys=pickle_keys,
                defaults=defaults,
            )
        )

    def _start(self, settings: Settings) -> None:
        self._router = Router(settings)
        self._transport = atransport_for(settings.transport, partial(self._own_transport, settings))

    @staticmethod
    def _own_transport(settings: Settings) -> AsyncTransport:
        try:
            from llmkit_async.transport import AiohttpTransport
        except ModuleNotFoundError as error:
            msg = f"The asyncio client needs {error.name}: pip install 'llmkit[async]'."
            raise ConfigurationError(msg) from None
        return AiohttpTransport(settings.transport_settings())

    # -- from a configuration

    @staticmethod
    def detect() -> Detection:
        """
        Return what is used where no model is named, what else was found, and why; no key is in it.

        Looks at all places that there are; an Ollama is given 300 ms to answer.
        """
        from llmkit.detection import detection

        return detection()

    @classmethod
    def from_config(cls, config: LLMConfig | Mapping[str, Any], **arguments: Any) -> AsyncClient:
        """
        Return the client that *config* describes: an ``LLMConfig``, or a dict with its fields or a client's arguments.

        *arguments* count before it.

        Raises:
            ConfigurationError: If something in it is unknown or wrong.
        """
        from llmkit.config.values import table_of

        return table_of(config).make(cls, arguments)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], name: str | None = None, profile: str | None = None, **arguments: Any) -> AsyncClient:
        """
        Return the client that the file at *path* describes; README, section "Configuration".

        Args:
            path: A file that ends in ``.toml``, ``.json`` or, where PyYAML is installed, ``.yaml``.
            name: Which of its providers, where it has several.
            profile: The profile to lay over it; by default that of ``LLMKIT_PROFILE``.
            **arguments: A client's arguments, which count before the file.

        Raises:
            ConfigurationError: If the file or something in it is unknown or wrong; it tells line or path.
        """
        from llmkit.config.files import load_shelf

        return load_shelf(path, profile=profile).choose(name).make(cls, arguments)

    # -- one request

    async def complete(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        tools: Sequence[Any] | None = None,
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        reasoning: Reasoning | None = None,
        user: str | None = None,
        metadata: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        cache: bool | None = None,
        repair: int = 0,
    ) -> CompletionResponse:
        """
        Return the model's answer to *messages*.

        Only what is given is sent.

        Args:
            messages: A string, a ``Message``, or a list of messages, OpenAI-style dicts among them.
            model: Another model for this call, of whatever provider.
            system: What comes before the messages.
            tools: Functions, ``Tool``s or OpenAI-style dicts; ``tool_choice`` is "auto", "none", "required" or a tool's name.
            response_format: A type, a JSON Schema, or "json"; the answer as such is ``parsed``.
            reasoning: "none", "minimal", "low", "medium", "high", or how many tokens it may take.
            extra_body: What only the provider knows, laid over the body that is sent.
            timeout: Seconds to connect, and for the longest silence.
            deadline: Seconds for the whole call with all its waits and retries.
            cache: False passes the client's cache over.
            repair: How often an answer that does not fit ``response_format`` is asked for once more, with the reason.

        Raises:
            ConfigurationError: If something given is wrong, and ``UnsupportedParameterError`` if the provider does not know it;
                nothing was sent.
            ProviderError: If the provider refused, failed or could not be reached, after all retries.
            DeadlineExceededError: If the deadline passed first.
            StructuredOutputError: If the answer does not fit ``response_format``.
            LLMKitError: The base of these, and of what else ends a call: a budget that is spent, a limit, an open breaker, keys that
                rest, or that all fallbacks failed.
        """
        return await mended(self._answer, self._completion(False, locals()))

    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        tools: Sequence[Any] | None = None,
        tool_choice: str | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        reasoning: Reasoning | None = None,
        user: str | None = None,
        metadata: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        cache: bool | None = None,
    ) -> AsyncCompletionStream:
        """
        Return the answer as a stream of chunks; the request goes out when the first is asked for.

        What fails before the first content is retried like ``complete``; after it, nothing is ever sent again. A ``deadline`` given
        here holds to the stream's end.

        Raises:
            ConfigurationError: As ``complete``. Everything else is raised by the iteration, and ``StreamInterruptedError`` with all
                that was received, if the stream ends before the answer does.
        """
        return AsyncCompletionStream(self, self._completion(True, locals()))

    # -- several requests

    async def run(
        self,
        messages: Messages,
        *,
        tools: Iterable[Any],
        model: str | None = None,
        max_steps: int = 8,
        system: str | None = None,
        on_step: Callable[[Step], object] | None = None,
        approve: Callable[[ToolCall], object] | None = None,
        on_tool_error: Literal["return", "raise"] = "return",
        deadline: float | None = None,
        budget: Amount | Budget | None = None,
        max_parallel: int = 8,
        tool_timeout: float | None = None,
        tools_by_prompt: bool = False,
        **parameters: Any,
    ) -> RunResult:
        """
        Let the model use *tools* until it is done, and return what that came to.

        Each answer is a step; the tools that it calls are run, at most ``max_parallel`` at a time, and their results go back. A tool that
        is not there, wrong arguments and a tool that fails are told to the model. README, section "Tools and agents".

        Args:
            messages: As ``complete`` takes them. If they end with calls of tools, these are made first.
            tools: Functions, ``Tool``s, or a ``ToolRegistry``.
            model: As ``complete`` takes it, and so are all further *parameters*. A ``tool_choice`` that forces a call is for the first
                step only.
            max_steps: How many answers the model may give.
            system: The system message, which does not become a part of the transcript.
            on_step: Is given each ``Step`` when it is over, and may be a coroutine function.
            approve: Is given each ``ToolCall`` before it is made, and returns True, False, or as text why it is refused: a coroutine
                function, or one that is run in a thread.
            on_tool_error: "raise" lets a tool's failure end the run.
            deadline: Seconds for the whole of it.
            budget: US dollars for the whole of it, what tools ask of models included; or a ``Budget``.
            tool_timeout: Seconds that a tool may take that says nothing of it itself.
            tools_by_prompt: Tell the model of the tools in words, where it knows of none by itself.

        Raises:
            ConfigurationError: If something given is wrong; nothing was sent.
            ToolLoopLimitError: If the model is not done after ``max_steps``.
            LLMKitError: As ``complete``; ``error.run`` is what there was up to then, its transcript too.
        """
        return await self._running(False, locals()).collect()

    def run_stream(
        self,
        messages: Messages,
        *,
        tools: Iterable[Any],
        model: str | None = None,
        max_steps: int = 8,
        system: str | None = None,
        on_step: Callable[[Step], object] | None = None,
        approve: Callable[[ToolCall], object] | None = None,
        on_tool_error: Literal["return", "raise"] = "return",
        deadline: float | None = None,
        budget: Amount | Budget | None = None,
        max_parallel: int = 8,
        tool_timeout: float | None = None,
        tools_by_prompt: bool = False,
        **parameters: Any,
    ) -> AsyncRunStream:
        """
        Return the same as it happens: ``text`` as it comes, ``tool_start``, ``tool_end``, ``step``, and ``done`` with the result.

        Raises:
            ConfigurationError: If something given is wrong. Everything else is raised by the iteration, as by ``run``.
        """
        return self._running(True, locals())

    def _running(self, streamed: bool, arguments: dict[str, Any]) -> AsyncRunStream:
        from llmkit_async.running import AsyncRunStream

        arguments.pop("self", None)
        return AsyncRunStream(self, streamed, self._router.active, arguments)

    @overload
    def function(self, function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def function(self, /, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def function(self, function: Any = None, /, **options: Any) -> Any:
        """
        Return *function* answered by this client: its docstring is the prompt, its return annotation the type of the answer.

        Used as ``@client.function`` or ``@client.function(temperature=0, repair=1)``; see ``llmkit.llm_function``.
        """
        from llmkit.functions import decorate

        decorator = partial(decorate, client=self, options=options, default=None)
        return decorator if function is None else decorator(function)

    async def embed(
        self,
        inputs: str | Iterable[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        input_type: str | None = None,
        user: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        max_concurrency: int = 8,
        progress: ProgressArgument = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = True,
    ) -> EmbeddingResponse:
        """
        Return a vector for each of *inputs*, in their order; a single string gives one.

        They are cut into as many requests as the provider needs, each with all retries; the first that fails after them ends it. With a
        checkpoint what is under way then is finished and kept, and the same call goes on from there; without one nothing is. Without
        *model* it is the provider's usual one for this, never the client's own model that chats.

        Args:
            inputs: A string, or any number of them.
            model: As ``complete`` takes it.
            dimensions: How many numbers a vector is to have, where the model can be told.
            input_type: What the texts are for, ``"query"`` or ``"document"`` among others, where the provider makes a difference.
            user: The end user's name, for the provider.
            extra_body: What else is to be in each request.
            extra_headers: What else is to be in its headers.
            timeout: Seconds to connect, and for the longest silence.
            deadline: Seconds for all requests together.
            max_concurrency: How many requests are under way at a time.
            progress: True for a bar of tqdm, or a function of done, total and failed, in texts.
            checkpoint: A file in which the vectors of each finished request are kept before it counts, so that the same call after a
                crash goes on where that one ended, and returns the same in the end.
            resume: False moves a checkpoint that is there aside; ``"anyway"`` goes on with that of other texts or parameters, where they
                are the same.

        Raises:
            ConfigurationError: If something given is wrong, an input is empty where the provider takes none that is, or no model for
                this is known; and ``UnsupportedParameterError`` if the provider does not embed, or does not know a parameter.
            CheckpointError: If the checkpoint is another's, damaged, at work, or cannot be written.
            ProviderError: If the provider refused, failed or could not be reached, after all retries.
            DeadlineExceededError: If the deadline passed first. On these ``metadata`` tells how many texts were ``done``, of what
                ``total``, and whether they are ``kept``.
        """
        work = self._router.embedding(**given(locals()))
        from llmkit_async.embedding import embedded

        return await embedded(work, self._send)

    async def count_tokens(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        tools: Sequence[Any] | None = None,
        tool_choice: str | None = None,
        response_format: Any = None,
        reasoning: Reasoning | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> TokenCount:
        """
        Return how many input tokens *messages* are, as the provider counts them where it does, else about how many.

        The number says whether it is ``estimated``, and by its ``source`` who counted. An estimate sends nothing.

        Raises:
            ConfigurationError: As ``complete``.
            ProviderError: If the provider, which does count, refused, failed or could not be reached.
        """
        question = self._router.counting(**given(locals()))
        if question.call is not None:
            try:
                return await self._send(question.call)
            except LLMKitError as error:
                if not question.lacks(error):
                    raise
        return await asyncio.get_running_loop().run_in_executor(None, question.estimate)  # a tokenizer may have to be read from disk

    async def batch(
        self,
        prompts: Iterable[Any] | AsyncIterable[Any],
        *,
        max_concurrency: int = 8,
        ordered: bool = True,
        progress: ProgressArgument = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = True,
        retry_failed: bool = False,
        strict: bool = False,
        mode: Literal["calls", "provider"] = "calls",
        executor: Executor | None = None,
        **params: Any,
    ) -> BatchResult:
        """
        Return what becomes of each of *prompts*: an error is in its place, and stops no other.

        Args:
            prompts: Strings, lists of messages, or dicts of ``complete``'s arguments; any iterable, also an asynchronous one.
            max_concurrency: How many are asked at a time.
            ordered: Whether the items are in the order of the prompts, or as they are completed.
            progress: True for a bar of tqdm, or a function of done, total (None where it is not known) and failed.
            checkpoint: A file in which what is done is kept, so that the same call after a crash goes on where that one ended.
            resume: False moves a checkpoint that is there aside; ``"anyway"`` goes on with that of other prompts, where they are the same.
            retry_failed: Whether those that failed for good, by the checkpoint, are asked again.
            strict: Whether those under way at a crash are reported as errors, in place of being asked, and perhaps paid for, again.
            mode: ``"provider"`` gives them to the provider's own batches: cheaper, within a day.
            executor: Where they are asked, in place of tasks of this loop.
            **params: Arguments of ``complete`` for all of them.

        Raises:
            ConfigurationError: If something said is wrong.
            CheckpointError: If the checkpoint is another's, damaged, at work, or cannot be written.
        """
        said = {name: value for name, value in locals().items() if name not in ("self", "prompts")}
        from llmkit_async.batch import gathered

        return await gathered(self, self._router, self._send, prompts, said)

    def batch_iter(
        self,
        prompts: Iterable[Any] | AsyncIterable[Any],
        *,
        max_concurrency: int = 8,
        ordered: bool = True,
        progress: ProgressArgument = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = True,
        retry_failed: bool = False,
        strict: bool = False,
        mode: Literal["calls", "provider"] = "calls",
        executor: Executor | None = None,
        **params: Any,
    ) -> AsyncGenerator[BatchItem, None]:
        """
        Return the items of ``batch`` one by one; of the prompts and of what is done only a window is held, however many there are.

        What stops a batch early is raised behind its last item where nobody knows how many prompts there would have been. Close
        the iterator when you leave it before its end.
        """
        said = {name: value for name, value in locals().items() if name not in ("self", "prompts")}
        from llmkit_async.batch import iterated

        return iterated(self, self._router, self._send, prompts, said)

    async def models(self) -> list[ModelInfo]:
        """Return the models that the client's provider lists for its key."""
        return await self._send(self._router.listing())

    async def check(self, *, model: str | None = None, timeout: float | None = None) -> HealthReport:
        """Return whether the endpoint answers and takes the key. A failure is in the report, not raised."""
        probe = self._router.probe(model=model, timeout=timeout)
        try:
            await self._send(probe)
        except LLMKitError as error:
            return self._router.report(probe, error)
        return self._router.report(probe)

    def explain(self, messages: Messages, *, model: str | None = None, stream: bool = False, **parameters: Any) -> Explanation:
        """Return the exact request that ``complete`` would send, credentials masked, and why it would go there. Sends nothing."""
        return self._router.explain(messages, model=model, stream=stream, parameters=parameters)

    @property
    def cache(self) -> ResponseCache | None:
        """The cache of this client's answers: its ``stats()``, ``clear()``."""
        return self._router.cache

    def breaker(self, model: str | None = None) -> CircuitBreaker | None:
        """Return the circuit breaker of *model*'s endpoint, or of the client's own; None where breakers are off."""
        return self._router.endpoint(model).breaker

    @property
    def usage(self) -> UsageEstimator:
        """What this client has used up to now: tokens, and what they cost, in all and by model."""
        return self._router.tracker.snapshot()

    # -- sending

    def _completion(self, stream: bool, arguments: dict[str, Any]) -> Call[CompletionResponse]:
        return self._router.completion(
            arguments.pop("messages"),
            model=arguments.pop("model"),
            stream=stream,
            timeout=arguments.pop("timeout"),
            deadline=arguments.pop("deadline"),
            cache=arguments.pop("cache"),
            repair=arguments.pop("repair", 0),
            parameters={name: value for name, value in arguments.items() if value is not None and name != "self"},
        )

    async def _answer(self, call: Call[CompletionResponse]) -> CompletionResponse:
        cached = self._router.cached(call)
        send = partial(raced, self._send)
        return await send(call) if cached is None else await answered(cached, send)

    @abacked_off
    async def _send(self, call: Call[Answer]) -> Answer:
        loop = _cancellable(call)
        if call.lacks_token:
            await loop.run_in_executor(None, call.fetch_token)
        with await begun(call) as exchange:
            transport = exchange.via(self._transport, _local_transport)
            exchange.read(await transport.send(exchange.http, timeout=exchange.timeout))
        return exchange.result()

    @abacked_off
    async def _open(self, call: Call[CompletionResponse]) -> Exchange[CompletionResponse]:
        """Send a streaming request and read up to the first content: so far it may be tried again."""
        loop = _cancellable(call)
        if call.lacks_token:
            await loop.run_in_executor(None, call.fetch_token)
        with await begun(call) as exchange:
            transport = exchange.via(self._transport, _local_transport)
            exchange.open(await transport.send(exchange.http, timeout=exchange.timeout, stream=True))
            while not exchange.begun and not exchange.ended:
                exchange.ready.extend(await more(exchange))
        exchange.check()
        if exchange.astream is not None:
            call.cut.arm(partial(loop.call_soon_threadsafe, exchange.astream.abort))
        return exchange

    # -- the end

    def cancel_all(self) -> int:
        """
        End every call in flight, from whatever thread, and return how many there were; a run counts beside the call that it waits for.

        Each raises the native ``CancelledError`` (of ``concurrent.futures``, in the twin of ``asyncio``) where it was called; keys,
        permits and connections are back. What is being connected at that moment ends when it is connected, or its time for that is over.
        """
        return self._router.cancel_all()

    async def close(self) -> None:
        """Close idle connections; later calls are refused, calls in flight end by themselves. Idempotent."""
        self._router.closed = True
        if self._router.sharing is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._router.flush)
        if self._router.own_cache is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._router.own_cache.close)
        if self._transport is not self._router.settings.transport:
            await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._router.default.label!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self._router.settings.portable()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._start(Settings(**state))


def _cancellable(call: Call[Any]) -> asyncio.AbstractEventLoop:
    """Let ``cancel_all`` cancel the running task, and return its loop."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    if task is not None:
        call.cut.arm(partial(loop.call_soon_threadsafe, task.cancel))
    return loop


def _local_transport(provider: LocalProvider) -> AsyncTransport:
    from llmkit_async._local import AsyncLocalTransport  # for the few who have a provider in Python

    return AsyncLocalTransport(provider)
