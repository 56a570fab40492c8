"""
Rows of those who serve models that others made: hosts, gateways, and servers of one's own.

Sources: each provider's own reference, its SDK and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmkit.auth.base import HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.providers.aws import region_of_arn
from llmkit.providers.bedrock import bedrock_access, bedrock_dialect, bedrock_options
from llmkit.providers.costs import openrouter_cost
from llmkit.providers.provider import Option, Provider, Row, urls
from llmkit.providers.responses import API, responses, wants_responses
from llmkit.providers.sagemaker import sagemaker

__all__ = ["ROWS"]

_PORT = re.compile(r":(\d*)$")
OLLAMA_PORT = 11434


def ollama_host(value: str) -> str:
    """
    Return *value*, in any form that ``OLLAMA_HOST`` may have, as a URL.

    Without a scheme the port is 11434 unless said; an address to listen on (0.0.0.0) is this machine.

    Source: Ollama, envconfig/config.go, read 2026-11-21.
    """
    text = value.strip().strip("'\"")
    scheme, mark, rest = text.rpartition("://")
    address, slash, path = rest.partition("/")
    split = _PORT.search(address)
    name, port = (address[: split.start()], split[1]) if split else (address, "")
    if name in ("", "0.0.0.0", "[::]"):  # noqa: S104 - read, not bound
        name = "127.0.0.1"
    if not mark:
        scheme, port = "http", port or str(OLLAMA_PORT)
    return f"{scheme}://{name}{':' if port else ''}{port}{slash}{path}"


def _ollama(options: Mapping[str, str]) -> Dialect:
    """
    Return the wire of Ollama that the option ``api`` names.

    Source: Ollama, docs/api.md and docs/openai.mdx, read 2026-11-21.
    """
    owner, api = "ollama", options.get("api", "native")
    if api == "native":
        from llmkit.dialects.ollama import OllamaChat  # only for those who use it: most programs speak to one provider

        return OllamaChat(owner=owner)
    if api != "chat":
        msg = f"The option 'api' of {owner} is one of native, chat, not {api!r}."
        raise ConfigurationError(msg)
    # What it has no word for it ignores.
    return OpenAIChat(
        owner=owner,
        path="/v1/chat/completions",
        models_path="/v1/models",
        replay="reasoning",
        inline_images=True,
        strict_tools=False,
        withholds={"tool_choice", "parallel_tool_calls", "user", "metadata"},
    )


def _openrouter(options: Mapping[str, str]) -> Dialect:
    owner = "openrouter"
    if wants_responses(options, owner):
        return responses(owner)
    return OpenAIChat(owner=owner, takes_top_k=True, reasoning="nested", replay="reasoning_details", marks_cache=True)


ROWS: Mapping[str, Row] = {
    "groq": lambda name: Provider(
        name=name,
        base_url="https://api.groq.com/openai/v1",
        key_env=("GROQ_API_KEY",),
        base_env=urls("GROQ"),
        default_model="openai/gpt-oss-120b",
        batches="openai",
        dialect=OpenAIChat(owner=name, stream_usage=False, silence="absent"),
    ),
    "openrouter": lambda name: Provider(
        name=name,
        base_url="https://openrouter.ai/api/v1",
        key_env=("OPENROUTER_API_KEY",),
        base_env=urls("OPENROUTER"),
        headers={
            "HTTP-Referer": ("OPENROUTER_APP_URL", "OR_SITE_URL"),
            "X-Title": ("OPENROUTER_APP_TITLE", "OR_APP_NAME"),
        },
        options={"api": API},
        default_model="openrouter/auto",
        dialect=_openrouter({}),
        choose_dialect=_openrouter,
        reported_cost=openrouter_cost,
    ),
    "together": lambda name: Provider(
        name=name,
        base_url="https://api.together.ai/v1",
        key_env=("TOGETHER_API_KEY", "TOGETHERAI_API_KEY"),
        base_env=urls("TOGETHER"),
        default_model="openai/gpt-oss-20b",
        dialect=OpenAIChat(owner=name, takes_top_k=True, think_tags=True),
    ),
    "fireworks": lambda name: Provider(
        name=name,
        base_url="https://api.fireworks.ai/inference/v1",
        key_env=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
        base_env=urls("FIREWORKS"),
        dialect=OpenAIChat(owner=name, takes_top_k=True),
    ),
    "cerebras": lambda name: Provider(
        name=name,
        base_url="https://api.cerebras.ai/v1",
        key_env=("CEREBRAS_API_KEY",),
        base_env=urls("CEREBRAS"),
        default_model="gpt-oss-120b",
        dialect=OpenAIChat(owner=name, max_tokens_field="max_completion_tokens"),
    ),
    "nvidia": lambda name: Provider(
        name=name,
        base_url="https://integrate.api.nvidia.com/v1",
        key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        base_env=urls("NVIDIA", "NVIDIA_NIM"),
        dialect=OpenAIChat(owner=name),
    ),
    "huggingface": lambda name: Provider(
        name=name,
        base_url="https://router.huggingface.co/v1",
        key_env=("HF_TOKEN",),
        base_env=urls("HUGGINGFACE"),
        dialect=OpenAIChat(owner=name, think_tags=True),
    ),
    "siliconflow": lambda name: Provider(
        name=name,
        base_url="https://api.siliconflow.{region}/v1",
        default_path="/v1",
        key_env=("SILICONFLOW_API_KEY",),
        base_env=urls("SILICONFLOW"),
        options={"region": Option(default="intl", meaning="whose platform the key is of", choices={"intl": "com", "cn": "cn"})},
        dialect=OpenAIChat(owner=name, reasoning="enable_thinking", schema="json_object", takes_top_k=True),
    ),
    "bedrock": lambda name: Provider(
        name=name,
        base_url="https://{host}",
        own_path="/model/.*|(?:/openai)?/v1",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_env=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL", *urls("BEDROCK")),
        options=bedrock_options(),
        batches_in="S3",  # Amazon Bedrock User Guide, "Process multiple prompts with batch inference", read 2026-11-21
        default_model="global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        dialect=bedrock_dialect({}),
        choose_dialect=bedrock_dialect,
        choose_access=bedrock_access,
        options_of_model=region_of_arn,
    ),
    "venice": lambda name: Provider(
        name=name,
        base_url="https://api.venice.ai/api/v1",
        key_env=("VENICE_API_KEY", "VENICE_AI_API_KEY"),
        base_env=urls("VENICE"),
        dialect=OpenAIChat(owner=name),
    ),
    "sagemaker": sagemaker,
    "heroku": lambda name: Provider(
        name=name,
        base_url="https://{region}.inference.heroku.com",
        own_path="/v1",
        key_env=("HEROKU_INFERENCE_KEY", "INFERENCE_KEY", "HEROKU_API_KEY"),
        base_env=("HEROKU_INFERENCE_URL", "INFERENCE_URL", "HEROKU_API_BASE"),
        options={"region": Option(default="us", meaning="where the add-on is", choices={"us": "us", "eu": "eu"})},
        dialect=OpenAIChat(owner=name, path="/v1/chat/completions", models_path="/available-models", plain_content=True),
    ),
    # Embeddings only.
    "voyage": lambda name: Provider(
        name=name,
        base_url="https://api.voyageai.com/v1",
        key_env=("VOYAGE_API_KEY",),
        base_env=urls("VOYAGE"),
        default_model="voyage-4",
        dialect=OpenAIChat(owner=name, models_path=None),
        completes=False,
    ),
    # -- gateways
    "vercel": lambda name: Provider(
        name=name,
        base_url="https://ai-gateway.vercel.sh/v1",
        key_env=("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
        base_env=urls("AI_GATEWAY"),
        dialect=OpenAIChat(owner=name, reasoning="nested", replay="reasoning_details"),
    ),
    "cloudflare": lambda name: Provider(
        name=name,
        base_url="https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        key_env=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
        base_env=urls("CLOUDFLARE"),
        options={
            "account": Option(env=("CLOUDFLARE_ACCOUNT_ID",), meaning="the account's id"),
            "gateway": Option(meaning="the AI Gateway that requests go through"),
        },
        # Content that is null or a list is refused.
        dialect=OpenAIChat(owner=name, headers={"cf-aig-gateway-id": "{gateway}"}, plain_content=True, silence="empty"),
    ),
    # The key is that of the provider behind the gateway; for an authenticated one, its own token is a default header,
    # cf-aig-authorization.
    "cloudflare-gateway": lambda name: Provider(
        name=name,
        base_url="https://gateway.ai.cloudflare.com/v1/{account}/{gateway}/compat",
        key_required=False,
        base_env=urls("CLOUDFLARE_GATEWAY"),
        options={
            "account": Option(env=("CLOUDFLARE_ACCOUNT_ID",), meaning="the account's id"),
            "gateway": Option(meaning="the gateway's name"),
        },
        dialect=OpenAIChat(owner=name, models_path=None),
    ),
    "portkey": lambda name: Provider(
        name=name,
        base_url="https://api.portkey.ai/v1",
        key_env=("PORTKEY_API_KEY",),
        base_env=("PORTKEY_PROXY", *urls("PORTKEY")),
        auth=HeaderAuth("x-portkey-api-key", ""),
        options={
            "provider": Option(meaning="the provider behind it, such as @openai-prod"),
            "config": Option(meaning="a configuration's id, or its JSON"),
        },
        dialect=OpenAIChat(owner=name, headers={"x-portkey-provider": "{provider}", "x-portkey-config": "{config}"}, think_tags=True),
    ),
    "helicone": lambda name: Provider(
        name=name,
        base_url="https://ai-gateway.helicone.ai",
        own_path="/v1",
        key_env=("HELICONE_API_KEY",),
        base_env=urls("HELICONE"),
        dialect=OpenAIChat(owner=name, path="/v1/chat/completions"),
    ),
    # The key is OpenAI's; Helicone's own goes along as a default header, Helicone-Auth.
    "helicone-proxy": lambda name: Provider(
        name=name,
        base_url="https://oai.helicone.ai/v1",
        key_env=("OPENAI_API_KEY",),
        catalogue=("openai",),
        dialect=OpenAIChat(owner=name, max_tokens_field="max_completion_tokens"),
    ),
    "litellm": lambda name: Provider(
        name=name,
        base_url="http://localhost:4000/v1",
        key_env=("LITELLM_PROXY_API_KEY",),
        key_required=False,
        base_env=("LITELLM_PROXY_API_BASE", "LITELLM_PROXY_BASE_URL"),
        dialect=OpenAIChat(owner=name, takes_top_k=True),
    ),
    # -- servers of one's own
    "ollama": lambda name: Provider(
        name=name,
        base_url=f"http://127.0.0.1:{OLLAMA_PORT}",
        own_path="/v1|/api(?:/chat)?",
        read_base=ollama_host,
        key_env=("OLLAMA_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=("OLLAMA_HOST", *urls("OLLAMA")),
        options={"api": Option(default="native", meaning="native for its own wire, chat for its OpenAI-compatible one")},
        dialect=_ollama({}),
        choose_dialect=_ollama,
    ),
    "vllm": lambda name: Provider(
        name=name,
        base_url="http://localhost:8000/v1",
        key_env=("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
        key_required=False,
        per_token=False,
        base_env=urls("VLLM", "HOSTED_VLLM"),
        dialect=OpenAIChat(owner=name, takes_top_k=True, replay="reasoning", withholds={"parallel_tool_calls", "user"}),
    ),
    "lmstudio": lambda name: Provider(
        name=name,
        base_url="http://localhost:1234/v1",
        key_env=("LM_STUDIO_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=urls("LM_STUDIO"),
        dialect=OpenAIChat(owner=name, takes_top_k=True, json_mode=False),
    ),
    "llamacpp": lambda name: Provider(
        name=name,
        base_url="http://127.0.0.1:8080/v1",
        key_env=("LLAMACPP_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=urls("LLAMACPP"),
        dialect=OpenAIChat(owner=name, takes_top_k=True, replay="reasoning_content"),
    ),
    "textgen": lambda name: Provider(
        name=name,
        base_url="http://127.0.0.1:5000/v1",
        key_env=("TEXTGEN_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=urls("TEXTGEN"),
        dialect=OpenAIChat(owner=name, takes_top_k=True),
    ),
    "fastchat": lambda name: Provider(
        name=name,
        base_url="http://localhost:8000/v1",
        key_env=("FASTCHAT_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=urls("FASTCHAT"),
        dialect=OpenAIChat(
            owner=name,
            stream_usage=False,
            joins_text=True,
            takes_top_k=True,
            withholds={"tools", "tool_choice", "parallel_tool_calls"},
        ),
    ),
    "tgi": lambda name: Provider(
        name=name,
        default_path="/v1",
        key_env=("TGI_API_KEY",),
        key_required=False,
        per_token=False,
        base_env=urls("TGI"),
        dialect=OpenAIChat(owner=name, schema="value"),
    ),
    "custom": lambda name: Provider(name=name, default_path="/v1", key_required=False, dialect=OpenAIChat(owner=name, takes_top_k=True)),
}
