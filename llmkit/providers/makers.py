"""
Rows of those who make the models they serve.

Sources: each provider's own reference, its SDK and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.auth.base import HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.providers.provider import Option, Provider, Row, urls
from llmkit.providers.reading import host

__all__ = ["MAKERS"]

MAKERS: Mapping[str, Row] = {
    "openai": lambda name: Provider(
        name=name,
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=urls("OPENAI"),
        headers={"OpenAI-Organization": ("OPENAI_ORG_ID",), "OpenAI-Project": ("OPENAI_PROJECT_ID",)},
        default_model="gpt-4o-mini",
        dialect=OpenAIChat(owner=name, max_tokens_field="max_completion_tokens"),
    ),
    "azure": lambda name: Provider(
        name=name,
        base_url="https://{endpoint}",
        own_path="/openai(/v1|/deployments(/[^/]+)?)?",
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        base_env=("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
        auth=HeaderAuth("api-key", ""),
        options={
            "endpoint": Option(meaning="the resource's address, https://NAME.openai.azure.com", read=host),
            "deployment": Option(meaning="the deployment's name, where it is not the model's"),
            "api_version": Option(
                env=("OPENAI_API_VERSION", "AZURE_API_VERSION"),
                meaning="a date such as 2024-10-21 for the API before v1",
            ),
        },
        dialect=_azure({}),
        choose_dialect=_azure,
    ),
    "xai": lambda name: Provider(
        name=name,
        base_url="https://api.x.ai/v1",
        key_env=("XAI_API_KEY",),
        base_env=urls("XAI"),
        default_model="grok-4.20",
        dialect=OpenAIChat(
            owner=name, stream_usage=False, hidden_output=True, strict_tools=False, schema_omits={"additionalProperties"}
        ),
    ),
    "deepseek": lambda name: Provider(
        name=name,
        base_url="https://api.deepseek.com",
        key_env=("DEEPSEEK_API_KEY",),
        base_env=urls("DEEPSEEK"),
        default_model="deepseek-flash",
        # A turn with calls that was thought out comes back with its thoughts, or is refused. Strict tools are only at /beta.
        dialect=OpenAIChat(
            owner=name,
            reasoning="thinking",
            replay="reasoning_content",
            replay_always=True,
            schema="json_object",
            strict_tools=False,
        ),
    ),
    "mistral": lambda name: Provider(
        name=name,
        base_url="https://api.mistral.ai/v1",
        key_env=("MISTRAL_API_KEY",),
        base_env=urls("MISTRAL"),
        default_model="mistral-small-latest",
        dialect=_mistral(name),
    ),
    "codestral": lambda name: Provider(
        name=name,
        base_url="https://codestral.mistral.ai/v1",
        key_env=("CODESTRAL_API_KEY",),
        base_env=urls("CODESTRAL"),
        dialect=_mistral(name),
    ),
    "perplexity": lambda name: Provider(
        name=name,
        base_url="https://api.perplexity.ai",
        key_env=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        base_env=urls("PERPLEXITY"),
        default_model="sonar",
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
        dialect=OpenAIChat(owner=name, reasoning="enable_thinking", takes_top_k=True),
    ),
    "zhipu": lambda name: Provider(
        name=name,
        base_url="https://{region}/api/paas/v4",
        default_path="/api/paas/v4",
        key_env=("ZAI_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
        base_env=urls("ZAI", "ZHIPUAI"),
        options={
            "region": Option(
                default="intl", meaning="whose platform the key is of", choices={"intl": "api.z.ai", "cn": "open.bigmodel.cn"}
            )
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
    # The address of Google's own wire is another row; this is its compatible one.
    "gemini-openai": lambda name: Provider(
        name=name,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_env=urls("GEMINI_OPENAI"),
        dialect=OpenAIChat(owner=name, hidden_output=True),
    ),
}


def _azure(options: Mapping[str, str]) -> Dialect:
    """
    Return Azure's wire: the v1 API, or with a dated ``api_version`` the older one that has the deployment in its path.

    Source: Microsoft Learn, "Azure OpenAI API version lifecycle", read 2026-11-21.
    """
    owner = "azure"
    if options.get("api_version", "v1") in ("v1", "preview", "latest"):
        return OpenAIChat(
            owner=owner,
            path="/openai/v1/chat/completions",
            models_path="/openai/v1/models",
            model_option="deployment",
            max_tokens_field="max_completion_tokens",
        )
    return OpenAIChat(
        owner=owner,
        path="/openai/deployments/{model}/chat/completions",
        models_path="/openai/models",
        query="api-version={api_version}",
        model_option="deployment",
        max_tokens_field="max_completion_tokens",
    )


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
