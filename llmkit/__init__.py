"""
One typed call to any language model.

The names below are loaded when they are first used: importing llmkit costs next to nothing, opens no socket, starts no thread and
reads no file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llmkit.agent import Agent as Agent
    from llmkit.batch.items import BatchItem as BatchItem
    from llmkit.batch.items import BatchResult as BatchResult
    from llmkit.cache.base import CacheStats as CacheStats
    from llmkit.cache.memory import LLMCache as LLMCache
    from llmkit.cache.redis import RedisCache as RedisCache
    from llmkit.cache.sqlite import SqliteCache as SqliteCache
    from llmkit.catalogue.estimates import estimate_cost as estimate_cost
    from llmkit.catalogue.registry import ModelRegistry as ModelRegistry
    from llmkit.client import Client as Client
    from llmkit.clients import Clients as Clients
    from llmkit.clients import load_clients as load_clients
    from llmkit.config.values import LLMConfig as LLMConfig
    from llmkit.detection import Detection as Detection
    from llmkit.dialects.base import Dialect as Dialect
    from llmkit.dialects.base import Place as Place
    from llmkit.dialects.base import StreamDecoder as StreamDecoder
    from llmkit.dialects.base import WireError as WireError
    from llmkit.errors import AllProvidersFailedError as AllProvidersFailedError
    from llmkit.errors import AuthenticationError as AuthenticationError
    from llmkit.errors import BatchError as BatchError
    from llmkit.errors import BudgetExceededError as BudgetExceededError
    from llmkit.errors import CheckpointError as CheckpointError
    from llmkit.errors import CircuitOpenError as CircuitOpenError
    from llmkit.errors import ConfigurationError as ConfigurationError
    from llmkit.errors import ContentFilterError as ContentFilterError
    from llmkit.errors import ContextWindowExceededError as ContextWindowExceededError
    from llmkit.errors import DeadlineExceededError as DeadlineExceededError
    from llmkit.errors import ErrorCategory as ErrorCategory
    from llmkit.errors import InternalError as InternalError
    from llmkit.errors import InvalidRequestError as InvalidRequestError
    from llmkit.errors import LLMKitError as LLMKitError
    from llmkit.errors import MalformedResponseError as MalformedResponseError
    from llmkit.errors import ModelNotFoundError as ModelNotFoundError
    from llmkit.errors import NetworkError as NetworkError
    from llmkit.errors import NoAvailableKeyError as NoAvailableKeyError
    from llmkit.errors import OverloadedError as OverloadedError
    from llmkit.errors import PermissionDeniedError as PermissionDeniedError
    from llmkit.errors import ProviderError as ProviderError
    from llmkit.errors import QuotaExceededError as QuotaExceededError
    from llmkit.errors import RateLimitError as RateLimitError
    from llmkit.errors import RateLimitTimeoutError as RateLimitTimeoutError
    from llmkit.errors import RequestTimeoutError as RequestTimeoutError
    from llmkit.errors import RetrieverError as RetrieverError
    from llmkit.errors import SharedStateError as SharedStateError
    from llmkit.errors import StreamInterruptedError as StreamInterruptedError
    from llmkit.errors import StructuredOutputError as StructuredOutputError
    from llmkit.errors import ToolExecutionError as ToolExecutionError
    from llmkit.errors import ToolLoopLimitError as ToolLoopLimitError
    from llmkit.errors import UnsupportedParameterError as UnsupportedParameterError
    from llmkit.events import Event as Event
    from llmkit.functions import llm_function as llm_function
    from llmkit.loop.results import RunEvent as RunEvent
    from llmkit.loop.results import RunResult as RunResult
    from llmkit.loop.results import Step as Step
    from llmkit.loop.results import ToolRun as ToolRun
    from llmkit.metering import track as track
    from llmkit.models.capabilities import LLMCapabilities as LLMCapabilities
    from llmkit.models.chunk import CompletionChunk as CompletionChunk
    from llmkit.models.chunk import ToolCallDelta as ToolCallDelta
    from llmkit.models.content import Audio as Audio
    from llmkit.models.content import Document as Document
    from llmkit.models.content import Image as Image
    from llmkit.models.content import Message as Message
    from llmkit.models.content import Native as Native
    from llmkit.models.content import Text as Text
    from llmkit.models.content import Thinking as Thinking
    from llmkit.models.content import ToolCall as ToolCall
    from llmkit.models.content import ToolResult as ToolResult
    from llmkit.models.content import assistant as assistant
    from llmkit.models.content import system as system
    from llmkit.models.content import tool_result as tool_result
    from llmkit.models.content import user as user
    from llmkit.models.embedding import EmbeddingRequest as EmbeddingRequest
    from llmkit.models.embedding import EmbeddingResponse as EmbeddingResponse
    from llmkit.models.embedding import Vectors as Vectors
    from llmkit.models.estimator import UsageEstimator as UsageEstimator
    from llmkit.models.fault import Fault as Fault
    from llmkit.models.info import Explanation as Explanation
    from llmkit.models.info import HealthReport as HealthReport
    from llmkit.models.info import ModelInfo as ModelInfo
    from llmkit.models.ledger import Attempt as Attempt
    from llmkit.models.price import Price as Price
    from llmkit.models.price import price_of as price_of
    from llmkit.models.request import CompletionRequest as CompletionRequest
    from llmkit.models.response import CompletionResponse as CompletionResponse
    from llmkit.models.response import FinishReason as FinishReason
    from llmkit.models.usage import TokenCount as TokenCount
    from llmkit.models.usage import Usage as Usage
    from llmkit.providers import LocalProvider as LocalProvider
    from llmkit.providers import Option as Option
    from llmkit.providers import Provider as Provider
    from llmkit.providers import register_provider as register_provider
    from llmkit.providers.plugins import refresh_custom_providers as refresh_custom_providers
    from llmkit.resilience.breaker import CircuitBreaker as CircuitBreaker
    from llmkit.resilience.breaker import CircuitBreakerConfig as CircuitBreakerConfig
    from llmkit.resilience.breaker import CircuitState as CircuitState
    from llmkit.resilience.budget import Budget as Budget
    from llmkit.resilience.budget import budget as budget
    from llmkit.resilience.deadline import deadline as deadline
    from llmkit.resilience.hedge import Hedge as Hedge
    from llmkit.resilience.keys import APIKeyPool as APIKeyPool
    from llmkit.resilience.rates import RateLimit as RateLimit
    from llmkit.resilience.rates import TokenBucket as TokenBucket
    from llmkit.resilience.retry import RetryConfig as RetryConfig
    from llmkit.resilience.retrying import with_retry as with_retry
    from llmkit.retrieval.retriever import Retriever as Retriever
    from llmkit.running import RunStream as RunStream
    from llmkit.shared.address import Shared as Shared
    from llmkit.streaming import CompletionStream as CompletionStream
    from llmkit.targets import Target as Target
    from llmkit.tool_registry import ToolRegistry as ToolRegistry
    from llmkit.tools import Tool as Tool
    from llmkit.tools import tool as tool
    from llmkit.transport.base import AsyncTransport as AsyncTransport
    from llmkit.transport.base import HttpRequest as HttpRequest
    from llmkit.transport.base import HttpResponse as HttpResponse
    from llmkit.transport.base import Timeout as Timeout
    from llmkit.transport.base import Transport as Transport
    from llmkit.transport.base import TransportError as TransportError

_HOMES = {
    "llmkit.agent": "Agent",
    "llmkit.cache.base": "CacheStats",
    "llmkit.cache.memory": "LLMCache",
    "llmkit.cache.redis": "RedisCache",
    "llmkit.cache.sqlite": "SqliteCache",
    "llmkit.client": "Client",
    "llmkit.batch.items": "BatchItem BatchResult",
    "llmkit.catalogue.estimates": "estimate_cost",
    "llmkit.catalogue.registry": "ModelRegistry",
    "llmkit.clients": "Clients load_clients",
    "llmkit.config.values": "LLMConfig",
    "llmkit.detection": "Detection",
    "llmkit.dialects.base": "Dialect Place StreamDecoder WireError",
    "llmkit.errors": (
        "AllProvidersFailedError AuthenticationError BatchError BudgetExceededError CheckpointError CircuitOpenError ConfigurationError "
        "ContentFilterError "
        "ContextWindowExceededError DeadlineExceededError ErrorCategory InternalError InvalidRequestError LLMKitError "
        "MalformedResponseError ModelNotFoundError NetworkError NoAvailableKeyError OverloadedError PermissionDeniedError "
        "ProviderError QuotaExceededError RateLimitError RateLimitTimeoutError RequestTimeoutError RetrieverError SharedStateError "
        "StreamInterruptedError StructuredOutputError ToolExecutionError ToolLoopLimitError UnsupportedParameterError"
    ),
    "llmkit.events": "Event",
    "llmkit.loop.results": "RunEvent RunResult Step ToolRun",
    "llmkit.functions": "llm_function",
    "llmkit.metering": "track",
    "llmkit.models.capabilities": "LLMCapabilities",
    "llmkit.models.content": ("Audio Document Image Message Native Text Thinking ToolCall ToolResult assistant system tool_result user"),
    "llmkit.models.estimator": "UsageEstimator",
    "llmkit.models.fault": "Fault",
    "llmkit.models.embedding": "EmbeddingRequest EmbeddingResponse Vectors",
    "llmkit.models.info": "Explanation HealthReport ModelInfo",
    "llmkit.models.ledger": "Attempt",
    "llmkit.models.price": "Price price_of",
    "llmkit.models.request": "CompletionRequest",
    "llmkit.models.chunk": "CompletionChunk ToolCallDelta",
    "llmkit.models.response": "CompletionResponse FinishReason",
    "llmkit.models.usage": "TokenCount Usage",
    "llmkit.providers": "LocalProvider Option Provider register_provider",
    "llmkit.providers.plugins": "refresh_custom_providers",
    "llmkit.resilience.breaker": "CircuitBreaker CircuitBreakerConfig CircuitState",
    "llmkit.resilience.budget": "Budget budget",
    "llmkit.resilience.deadline": "deadline",
    "llmkit.resilience.hedge": "Hedge",
    "llmkit.resilience.keys": "APIKeyPool",
    "llmkit.resilience.rates": "RateLimit TokenBucket",
    "llmkit.resilience.retry": "RetryConfig",
    "llmkit.resilience.retrying": "with_retry",
    "llmkit.retrieval.retriever": "Retriever",
    "llmkit.running": "RunStream",
    "llmkit.shared.address": "Shared",
    "llmkit.streaming": "CompletionStream",
    "llmkit.targets": "Target",
    "llmkit.tool_registry": "ToolRegistry",
    "llmkit.tools": "Tool tool",
    "llmkit.transport.base": "AsyncTransport HttpRequest HttpResponse Timeout Transport TransportError",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
