"""
The table of providers. Their names are spelled in this package and nowhere else.

A row is what a provider needs to be spoken to; what differs from OpenAI's Chat Completions is a field of its dialect. Here stand
those who make the models they serve; clouds, which know their users by more than a key, are in ``clouds``, hosts of others' models in
``hosts``, each loaded when one of its rows is asked for; and those that differ in nothing but their address are in ``PLAIN``. A row is
made by calling it with its name: see ``registry``.

Rule: a parameter is withheld only where the server is known to refuse or to ignore it.

Sources: each provider's own reference, its SDK and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from llmkit.auth.base import HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.providers.costs import cohere_charges, perplexity_cost, xai_cost
from llmkit.providers.provider import Option, Provider, Row, urls
from llmkit.providers.responses import API, responses, wants_responses

if TYPE_CHECKING:
    from llmkit.providers.means import Access

__all__ = ["ALIASES", "DETECTED", "ELSEWHERE", "LOCAL", "MODEL_PREFIXES", "PLAIN", "TABLE"]

# Other names, those of other libraries among them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "ark": ("volcengine",),
    "azure": ("azure_openai", "azure-openai"),
    "cloudflare": ("workers-ai",),
    "dashscope": ("qwen", "alibaba"),
    "fireworks": ("fireworks_ai",),
    "google": ("gemini",),
    "huggingface": ("hf",),
    "litellm": ("litellm_proxy",),
    "llamacpp": ("llama.cpp", "llama-cpp"),
    "lmstudio": ("lm_studio", "lm-studio"),
    "moonshot": ("kimi",),
    "nvidia": ("nvidia_nim", "nim"),
    "qianfan": ("baidu",),
    "textgen": ("oobabooga",),
    "together": ("together_ai",),
    "vercel": ("vercel_ai_gateway",),
    "vertex": ("vertexai", "google-vertex"),
    "vllm": ("hosted_vllm",),
    "zhipu": ("zai",),
}

# How a bare model name tells its provider, in lower case; only where nobody else's models begin so. ("gpt-oss" is served by others.)
MODEL_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-3", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "ft:gpt-", "o1", "o3", "o4-"),
    "anthropic": ("claude-",),
    "google": ("gemini-",),
    "deepseek": ("deepseek-",),
    "xai": ("grok-",),
    "mistral": ("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-", "open-mistral-", "open-mixtral-"),
    "cohere": ("command-", "c4ai-", "embed-v", "rerank-v"),
    "dashscope": ("qwen", "qwq-", "qvq-"),
    "zhipu": ("glm-",),
    "moonshot": ("kimi-", "moonshot-"),
    "minimax": ("minimax-",),
    "perplexity": ("sonar",),
    "ark": ("doubao-",),
    "qianfan": ("ernie-",),
    "ai21": ("jamba-",),
    "inception": ("mercury",),
    "xiaomi": ("mimo-",),
    "v0": ("v0-",),
}

LOCAL = "ollama"  # looked for on this machine, where no key variable is set

# Whose key variables are looked for when no provider is named, in this order. A variable that often holds a key for something else
# (HF_TOKEN, GITHUB_TOKEN, WANDB_API_KEY) is not looked for.
DETECTED: tuple[str, ...] = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "deepseek",
    "xai",
    "groq",
    "openrouter",
    "together",
    "cerebras",
    "perplexity",
    "moonshot",
    "dashscope",
    "zhipu",
    "minimax",
)

# Hosts of which no difference is known: base URL and key variables.
PLAIN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ai21": ("https://api.ai21.com/studio/v1", ("AI21_API_KEY",)),
    "aihubmix": ("https://aihubmix.com/v1", ("AIHUBMIX_API_KEY",)),
    "baseten": ("https://inference.baseten.co/v1", ("BASETEN_API_KEY",)),
    "chutes": ("https://llm.chutes.ai/v1", ("CHUTES_API_KEY",)),
    "crusoe": ("https://api.inference.crusoecloud.com/v1", ("CRUSOE_API_KEY",)),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",)),
    "featherless": ("https://api.featherless.ai/v1", ("FEATHERLESS_API_KEY", "FEATHERLESS_AI_API_KEY")),
    "friendli": ("https://api.friendli.ai/serverless/v1", ("FRIENDLI_TOKEN",)),
    "gmi": ("https://api.gmi-serving.com/v1", ("GMI_API_KEY",)),
    "hyperbolic": ("https://api.hyperbolic.xyz/v1", ("HYPERBOLIC_API_KEY",)),
    "inception": ("https://api.inceptionlabs.ai/v1", ("INCEPTION_API_KEY",)),
    "lambda": ("https://api.lambda.ai/v1", ("LAMBDA_API_KEY",)),
    "llama": ("https://api.llama.com/compat/v1", ("LLAMA_API_KEY",)),
    "meta": ("https://api.meta.ai/v1", ("META_API_KEY", "MODEL_API_KEY")),
    "modelscope": ("https://api-inference.modelscope.cn/v1", ("MODELSCOPE_API_KEY",)),
    "nebius": ("https://api.studio.nebius.ai/v1", ("NEBIUS_API_KEY",)),
    "novita": ("https://api.novita.ai/v3/openai", ("NOVITA_API_KEY",)),
    "ovh": ("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", ("OVHCLOUD_API_KEY",)),
    "poe": ("https://api.poe.com/v1", ("POE_API_KEY",)),
    "requesty": ("https://router.requesty.ai/v1", ("REQUESTY_API_KEY",)),
    "sambanova": ("https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",)),
    "scaleway": ("https://api.scaleway.ai/v1", ("SCW_SECRET_KEY",)),
    "tencent": ("https://tokenhub-intl.tencentcloudmaas.com/v1", ("TENCENT_API_KEY",)),
    "v0": ("https://api.v0.dev/v1", ("V0_API_KEY",)),
    "wandb": ("https://api.inference.wandb.ai/v1", ("WANDB_API_KEY",)),
    "xiaomi": ("https://api.xiaomimimo.com/v1", ("XIAOMI_MIMO_API_KEY",)),
}

# Those who make the models they serve.
MAKERS: Mapping[str, Row] = {
    "openai": lambda name: Provider(
        name=name,
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=urls("OPENAI"),
        headers={"OpenAI-Organization": ("OPENAI_ORG_ID",), "OpenAI-Project": ("OPENAI_PROJECT_ID",)},
        options={"api": API},
        default_model="gpt-4o-mini",
        batches="openai",
        dialect=_openai({}),
        choose_dialect=_openai,
    ),
    "openai-responses": lambda name: Provider(
        name=name,
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=urls("OPENAI"),
        headers={"OpenAI-Organization": ("OPENAI_ORG_ID",), "OpenAI-Project": ("OPENAI_PROJECT_ID",)},
        default_model="gpt-4o-mini",
        batches="openai",
        catalogue=("openai",),
        dialect=_openai({"api": "responses"}),
    ),
    "anthropic": lambda name: Provider(
        name=name,
        base_url="https://api.anthropic.com",
        own_path="/v1(?:/messages)?",
        key_env=("ANTHROPIC_API_KEY",),
        base_env=urls("ANTHROPIC"),
        auth=HeaderAuth("x-api-key", ""),
        # The later version differs in what it refuses only: sampling, even of models that have it.
        static_headers={"anthropic-version": "2023-06-01"},
        options={
            "beta": Option(meaning="the names of features in beta, joined by commas"),
            "token": Option(
                personal=True, env=("ANTHROPIC_AUTH_TOKEN",), meaning="a bearer token, or a function that returns one, in place of a key"
            ),
        },
        default_model="claude-sonnet-5",
        batches="anthropic",
        dialect=_anthropic(name),
        choose_access=_anthropic_access(),
    ),
    "google": lambda name: Provider(
        name=name,
        base_url="https://generativelanguage.googleapis.com/v1beta",
        own_path="/models(?:/[^/]*)?",
        key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_env=("GOOGLE_GEMINI_BASE_URL",),
        auth=HeaderAuth("x-goog-api-key", ""),
        default_model="gemini-flash-latest",
        batches="gemini",
        dialect=_gemini(name),
    ),
    "xai": lambda name: Provider(
        name=name,
        base_url="https://api.x.ai/v1",
        key_env=("XAI_API_KEY",),
        base_env=urls("XAI"),
        default_model="grok-4.20",
        reported_cost=xai_cost,
        dialect=OpenAIChat(owner=name, stream_usage=False, hidden_output=True, strict_tools=False, schema_omits={"additionalProperties"}),
    ),
    "deepseek": lambda name: Provider(
        name=name,
        base_url="https://api.deepseek.com",
        key_env=("DEEPSEEK_API_KEY",),
        base_env=urls("DEEPSEEK"),
        options={"api": API},
        default_model="deepseek-flash",
        dialect=_deepseek({}),
        choose_dialect=_deepseek,
    ),
    "mistral": lambda name: Provider(
        name=name,
        base_url="https://api.mistral.ai/v1",
        key_env=("MISTRAL_API_KEY",),
        base_env=urls("MISTRAL"),
        default_model="mistral-small-latest",
        dialect=_mistral(name),
    ),
    "cohere": lambda name: Provider(
        name=name,
        base_url="https://api.cohere.com",
        own_path="/v2(?:/chat)?|/v1",
        key_env=("CO_API_KEY", "COHERE_API_KEY"),
        base_env=("CO_API_URL", *urls("COHERE")),
        default_model="command-a-03-2025",
        charges=cohere_charges,
        dialect=_cohere(name),
    ),
    "codestral": lambda name: Provider(
        name=name,
        base_url="https://codestral.mistral.ai/v1",
        key_env=("CODESTRAL_API_KEY",),
        base_env=urls("CODESTRAL"),
        catalogue=("mistral",),
        dialect=_mistral(name),
    ),
    "perplexity": lambda name: Provider(
        name=name,
        base_url="https://api.perplexity.ai",
        key_env=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        base_env=urls("PERPLEXITY"),
        default_model="sonar",
        reported_cost=perplexity_cost,
        dialect=OpenAIChat(
            owner=name,
            models_path=None,
            stream_usage=False,
            takes_top_k=True,
            json_mode=False,
            think_tags=True,
            withholds={"tools", "tool_choice", "parallel_tool_calls", "stop", "seed"},
        ),
    ),
    "moonshot": lambda name: Provider(
        name=name,
        base_url="https://api.moonshot.{region}/v1",
        default_path="/v1",
        key_env=("MOONSHOT_API_KEY", "MOONSHOTAI_API_KEY"),
        base_env=urls("MOONSHOT"),
        options={"region": Option(default="intl", meaning="whose platform the key is of", choices={"intl": "ai", "cn": "cn"})},
        default_model="kimi-k2.6",
        dialect=OpenAIChat(
            owner=name,
            reasoning="thinking",
            replay="reasoning_content",
            replay_always=True,
            joins_text=True,
            inline_images=True,
            schema_omits={"$schema"},
        ),
    ),
    "dashscope": lambda name: Provider(
        name=name,
        base_url="https://{region}.aliyuncs.com/compatible-mode/v1",
        default_path="/compatible-mode/v1",
        key_env=("DASHSCOPE_API_KEY", "ALIBABA_API_KEY"),
        base_env=urls("DASHSCOPE"),
        options={
            "region": Option(
                default="cn",
                meaning="the region that the key is of",
                choices={"cn": "dashscope", "intl": "dashscope-intl", "us": "dashscope-us"},
            )
        },
        default_model="qwen-plus",
        batches="openai",
        dialect=OpenAIChat(owner=name, reasoning="enable_thinking", takes_top_k=True),
    ),
    "zhipu": lambda name: Provider(
        name=name,
        base_url="https://{region}/api/paas/v4",
        default_path="/api/paas/v4",
        key_env=("ZAI_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
        base_env=urls("ZAI", "ZHIPUAI"),
        options={
            "region": Option(default="intl", meaning="whose platform the key is of", choices={"intl": "api.z.ai", "cn": "open.bigmodel.cn"})
        },
        default_model="glm-4.7",
        dialect=OpenAIChat(owner=name, reasoning="thinking", schema="json_object", stream_usage=False),
    ),
    "minimax": lambda name: Provider(
        name=name,
        base_url="https://{region}/v1",
        default_path="/v1",
        key_env=("MINIMAX_API_KEY",),
        base_env=urls("MINIMAX"),
        options={
            "region": Option(
                default="intl", meaning="whose platform the key is of", choices={"intl": "api.minimax.io", "cn": "api.minimaxi.com"}
            )
        },
        default_model="MiniMax-M2.5",
        # Unless they are split, thoughts come inside the text, and one model was seen to leave the text empty.
        dialect=OpenAIChat(
            owner=name,
            models_path=None,
            max_tokens_field="max_completion_tokens",
            extras={"reasoning_split": True},
            reasoning="thinking",
            replay="reasoning_details",
            schema="json_object",
            think_tags=True,
        ),
    ),
    "ark": lambda name: Provider(
        name=name,
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        key_env=("ARK_API_KEY", "VOLCENGINE_API_KEY"),
        base_env=urls("ARK"),
        dialect=OpenAIChat(owner=name, reasoning="thinking_effort"),
    ),
    "qianfan": lambda name: Provider(
        name=name,
        base_url="https://qianfan.baidubce.com/v2",
        key_env=("QIANFAN_API_KEY",),
        base_env=urls("QIANFAN"),
        options={"appid": Option(meaning="the application's id")},
        dialect=OpenAIChat(owner=name, headers={"appid": "{appid}"}),
    ),
    # Google's compatible wire; its own is another row.
    "gemini-openai": lambda name: Provider(
        name=name,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_env=urls("GEMINI_OPENAI"),
        catalogue=("google",),
        dialect=OpenAIChat(owner=name, hidden_output=True),
    ),
}


def _openai(options: Mapping[str, str]) -> Dialect:
    owner = "openai"
    if wants_responses(options, owner):
        return responses(owner)
    return OpenAIChat(owner=owner, max_tokens_field="max_completion_tokens", tool_for_schema=True)


def _deepseek(options: Mapping[str, str]) -> Dialect:
    """
    Return DeepSeek's wire that the option ``api`` names. Its thoughts are in the clear on both.

    Source: recorded traffic of both, read 2026-11-21.
    """
    owner = "deepseek"
    if wants_responses(options, owner):
        return responses(owner, seals=False, schema="json_object")
    # A turn with calls that was thought out comes back with its thoughts, or is refused. Strict tools are only at /beta.
    return OpenAIChat(
        owner=owner,
        reasoning="thinking",
        replay="reasoning_content",
        replay_always=True,
        schema="json_object",
        strict_tools=False,
    )


def _anthropic(owner: str) -> Dialect:
    from llmkit.dialects.anthropic import AnthropicMessages  # only for those who use it: most programs speak to one provider

    return AnthropicMessages(owner=owner)


def _anthropic_access() -> Access:
    from llmkit.providers.access import anthropic_access

    return anthropic_access


def _gemini(owner: str) -> Dialect:
    from llmkit.dialects.gemini import Gemini

    return Gemini(owner=owner)


def _cohere(owner: str) -> Dialect:
    from llmkit.dialects.cohere import CohereChat

    return CohereChat(owner=owner)


def _mistral(owner: str) -> OpenAIChat:
    return OpenAIChat(
        owner=owner,
        seed_field="random_seed",
        stream_usage=False,
        replay="content",
        required_choice="any",
        short_tool_ids=True,
        bridges_tools=True,
        speaker_names=False,
        schema_omits={"$id", "$schema"},
        withholds={"user"},
    )


def _plain(name: str) -> Provider:
    base_url, key_env = PLAIN[name]
    return Provider(name=name, base_url=base_url, key_env=key_env, base_env=urls(name.upper()), dialect=OpenAIChat(owner=name))


# Whose rows are written elsewhere: in which module's ``ROWS``.
ELSEWHERE: Mapping[str, str] = {
    "llmkit.providers.clouds": "azure vertex databricks snowflake",
    "llmkit.providers.hosts": (
        "groq openrouter together fireworks cerebras nvidia huggingface siliconflow bedrock venice sagemaker heroku voyage vercel "
        "cloudflare cloudflare-gateway portkey helicone helicone-proxy litellm ollama vllm lmstudio llamacpp textgen fastchat tgi custom"
    ),
}


def _row_of(module: str) -> Row:
    def row(name: str) -> Provider:
        rows: Mapping[str, Row] = import_module(module).ROWS
        return rows[name](name)

    return row


TABLE: Mapping[str, Row] = {
    **MAKERS,
    **{name: _row_of(module) for module, names in ELSEWHERE.items() for name in names.split()},
    **dict.fromkeys(PLAIN, _plain),
}
