"""
Who embeds, by which wire and within which limits; and who counts tokens.

A limit is what the provider's reference says, or else what its refusals say. Where none is known, pieces are small enough that an answer
of any length fits.

Sources: OpenAI, Azure, Voyage AI, Mistral, Cohere, Google and Alibaba Cloud, each its API reference on embeddings; "Too many tokens in
batch. Max is 16384" (Mistral), "batch size is invalid, it should not be larger than 10" (DashScope), "maximum allowed batch size 64"
(SiliconFlow): their errors as users report them; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.dialects.embedding import Embedder, TokenCounter

__all__ = ["COUNTERS", "EMBEDDERS", "EMBEDDING_MODELS", "embeds_like_openai"]

Options = Mapping[str, str]

# The model that embeds where nobody names one.
EMBEDDING_MODELS: Mapping[str, str] = {
    "openai": "text-embedding-3-small",
    "google": "gemini-embedding-001",
    "vertex": "gemini-embedding-001",
    "mistral": "mistral-embed",
    "cohere": "embed-v4.0",
    "voyage": "voyage-4",
}

# Of OpenAI's own, which Azure keeps to as well.
_OPENAI: Mapping[str, Any] = {"most_inputs": 2048, "most_tokens": 300_000, "base64": True, "takes_empty": False}

# Those of whom no difference is known.
_ALIKE = """
    together fireworks openrouter vercel portkey litellm helicone-proxy gemini-openai lmstudio llamacpp textgen
    fastchat custom deepinfra nebius novita scaleway ovh friendli lambda baseten chutes ark qianfan
"""

# Those who speak as OpenAI does, and their differences.
_QUIRKS: Mapping[str, Mapping[str, Any]] = {
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "mistral": {
        "most_inputs": 64,
        "most_tokens": 16_384,
        "dimensions_field": "output_dimension",
        "withholds": {"user"},
    },
    "voyage": {
        "most_inputs": 1000,
        "most_tokens": 120_000,
        "base64": True,
        "dimensions_field": "output_dimension",
        "input_types": {"query": "query", "document": "document"},
        "withholds": {"user"},
        "takes_empty": False,
    },
    "nvidia": {"input_types": {"query": "query", "document": "passage"}, "needs_input_type": "document"},
    "vllm": {"base64": True},
    "databricks": {"most_inputs": 150, "withholds": {"user"}},
    "dashscope": {"most_inputs": 10},
    "zhipu": {"most_inputs": 64},
    "siliconflow": {"most_inputs": 32},
    "heroku": {"path": "/v1/embeddings", "most_inputs": 96},
    "helicone": {"path": "/v1/embeddings"},
    "cloudflare": {"most_inputs": 100},
    **{name: {} for name in _ALIKE.split()},
}


@lru_cache(maxsize=256)
def embeds_like_openai(owner: str) -> Callable[[Options], Embedder]:
    """Return what gives the provider *owner* OpenAI's wire: for one name the same."""
    return _like_openai(owner)


def _like_openai(owner: str, **quirks: Any) -> Callable[[Options], Embedder]:
    def choose(_: Options) -> Embedder:
        from llmkit.dialects.openai_embeddings import OpenAIEmbeddings  # only for those who embed

        return OpenAIEmbeddings(owner=owner, **quirks)

    return choose


def _azure(options: Options) -> Embedder:
    """Return Azure's wire: the v1 API, or with a dated ``api_version`` the older one. The model is a deployment's name in both."""
    from llmkit.dialects.openai_embeddings import OpenAIEmbeddings

    if options.get("api_version", "v1") in ("v1", "preview", "latest"):
        return OpenAIEmbeddings(owner="azure", path="/openai/v1/embeddings", **_OPENAI)
    path = "/openai/deployments/{model}/embeddings"
    return OpenAIEmbeddings(owner="azure", path=path, query="api-version={api_version}", **_OPENAI)


def _google(_: Options) -> Embedder:
    from llmkit.dialects.gemini_embeddings import GeminiEmbeddings

    return GeminiEmbeddings()


def _vertex(_: Options) -> Embedder:
    from llmkit.dialects.gemini_embeddings import VertexEmbeddings

    return VertexEmbeddings()


def _cohere(_: Options) -> Embedder:
    from llmkit.dialects.cohere_embeddings import CohereEmbed

    return CohereEmbed()


def _ollama(_: Options) -> Embedder:
    from llmkit.dialects.ollama_embeddings import OllamaEmbed

    return OllamaEmbed()


def _bedrock(options: Options) -> Embedder:
    from llmkit.dialects.bedrock_embeddings import BedrockEmbeddings

    api = options.get("api", "converse")
    if api not in ("converse", "invoke"):
        msg = f"Bedrock embeds where its runtime is: leave out the option 'api', which is {api!r}."
        raise ConfigurationError(msg)
    return BedrockEmbeddings()


EMBEDDERS: Mapping[str, Callable[[Options], Embedder]] = {
    **{name: _like_openai(name, **quirks) for name, quirks in _QUIRKS.items()},
    "azure": _azure,
    "google": _google,
    "vertex": _vertex,
    "cohere": _cohere,
    "ollama": _ollama,
    "bedrock": _bedrock,
}


def _count_openai(_: Options) -> TokenCounter:
    from llmkit.dialects.openai_responses import OpenAIResponses
    from llmkit.dialects.openai_responses_count import OpenAIResponsesCount

    return OpenAIResponsesCount(dialect=OpenAIResponses(owner="openai-responses", files_of="openai"))


def _count_anthropic(_: Options) -> TokenCounter:
    from llmkit.dialects.anthropic import AnthropicMessages
    from llmkit.dialects.anthropic_count import AnthropicCount

    return AnthropicCount(dialect=AnthropicMessages(owner="anthropic"))


def _count_google(_: Options) -> TokenCounter:
    from llmkit.dialects.gemini import Gemini
    from llmkit.dialects.gemini_count import GeminiCount

    return GeminiCount(dialect=Gemini(owner="google"))


def _count_vertex(_: Options) -> TokenCounter:
    from llmkit.dialects.gemini import Gemini
    from llmkit.dialects.gemini_count import GeminiCount

    dialect = Gemini(owner="vertex", publisher="publishers/google/", project_option="project", location_option="location")
    return GeminiCount(dialect=dialect, wrapped=False)


def _count_bedrock(options: Options) -> TokenCounter | None:
    from llmkit.dialects.anthropic import AnthropicMessages
    from llmkit.dialects.bedrock import BedrockConverse
    from llmkit.dialects.bedrock_count import BedrockCount
    from llmkit.providers.bedrock import bedrock_dialect

    dialect = bedrock_dialect(options)
    return BedrockCount(dialect=dialect) if isinstance(dialect, (BedrockConverse, AnthropicMessages)) else None


COUNTERS: Mapping[str, Callable[[Options], TokenCounter | None]] = {
    "openai": _count_openai,
    "openai-responses": _count_openai,
    "anthropic": _count_anthropic,
    "google": _count_google,
    "vertex": _count_vertex,
    "bedrock": _count_bedrock,
}
