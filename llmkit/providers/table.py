"""
The table of providers. Their names are spelled in this package and nowhere else.

A row (``makers``, ``hosts``) is what a provider needs to be spoken to; what differs from OpenAI's Chat Completions is a field of its
dialect. Hosts that differ in nothing but their address stand in ``PLAIN``. A row is made by calling it with its name: see ``registry``.

Rule: a parameter is withheld only where the server is known to refuse or to ignore it.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.providers.hosts import HOSTS
from llmkit.providers.makers import MAKERS
from llmkit.providers.provider import Provider, Row, urls

__all__ = ["ALIASES", "DETECTED", "MODEL_PREFIXES", "PLAIN", "TABLE"]

# Other names, those of other libraries among them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "ark": ("volcengine",),
    "azure": ("azure_openai", "azure-openai"),
    "cloudflare": ("workers-ai",),
    "dashscope": ("qwen", "alibaba"),
    "fireworks": ("fireworks_ai",),
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
    "vllm": ("hosted_vllm",),
    "zhipu": ("zai",),
}

# How a bare model name tells its provider, in lower case; only where nobody else's models begin so. ("gpt-oss" is served by others.)
MODEL_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-3", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "ft:gpt-", "o1", "o3", "o4-"),
    "deepseek": ("deepseek-",),
    "xai": ("grok-",),
    "mistral": ("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-", "open-mistral-", "open-mixtral-"),
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

# Whose key variables are looked for when no provider is named, in this order. A variable that often holds a key for something else
# (HF_TOKEN, GITHUB_TOKEN, WANDB_API_KEY) is not looked for.
DETECTED: tuple[str, ...] = (
    "openai",
    "mistral",
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


def _plain(name: str) -> Provider:
    base_url, key_env = PLAIN[name]
    return Provider(name=name, base_url=base_url, key_env=key_env, base_env=urls(name.upper()), dialect=OpenAIChat(owner=name))


TABLE: Mapping[str, Row] = {**MAKERS, **HOSTS, **dict.fromkeys(PLAIN, _plain)}
