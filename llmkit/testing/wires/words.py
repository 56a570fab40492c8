"""How each wire says, in its own words, why a model stopped and what was used: for answers that are given in llmkit's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from llmkit.models.usage import Usage

__all__ = ["ANTHROPIC", "BEDROCK", "COHERE", "GEMINI", "OLLAMA", "OPENAI", "RESPONSES", "Words"]


@frozen(kw_only=True)
class Words:
    """
    What one wire calls things.

    ``reasons`` are those that differ from ``FinishReason``'s own words; ``usage`` writes what was used.
    """

    reasons: Mapping[str, str] = field(factory=dict)
    usage: Callable[[Usage], dict[str, Any]]


def _openai(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _responses(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _anthropic(usage: Usage) -> dict[str, Any]:
    long = usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_tokens - long, "ephemeral_1h_input_tokens": long},
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _gemini(usage: Usage) -> dict[str, Any]:
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "totalTokenCount": usage.total_tokens,
    }


def _cohere(usage: Usage) -> dict[str, Any]:
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": usage.cache_read_tokens}


def _ollama(usage: Usage) -> dict[str, Any]:
    return {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}


def _bedrock(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "outputTokens": usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
    }


OPENAI = Words(usage=_openai)
RESPONSES = Words(usage=_responses)
ANTHROPIC = Words(reasons={"length": "max_tokens", "content_filter": "refusal", "pause": "pause_turn"}, usage=_anthropic)
GEMINI = Words(reasons={"refusal": "SAFETY", "error": "OTHER"}, usage=_gemini)
COHERE = Words(reasons={"error": "ERROR"}, usage=_cohere)
OLLAMA = Words(usage=_ollama)
BEDROCK = Words(reasons={"length": "max_tokens", "content_filter": "content_filtered", "refusal": "guardrail_intervened"}, usage=_bedrock)
