"""
Rows of the clouds, which know their users by more than a key, and of those who live there.

Sources: each provider's own reference, its SDK and recorded traffic, read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmkit.auth.base import HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.providers.access import azure_access, databricks_access, snowflake_access
from llmkit.providers.provider import Option, Provider, Row, urls
from llmkit.providers.responses import API, responses, wants_responses
from llmkit.providers.vertex import vertex_access, vertex_claude_access, vertex_host

__all__ = ["ROWS", "account_label", "host"]

# What people write for a host or an account, and what then stands in an address.

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def host(value: str) -> str:
    """Return *value*, a host with or without a scheme, without its last slash. ``https://`` goes without saying."""
    return value.strip().rstrip("/").removeprefix("https://")


def account_label(value: str) -> str:
    """
    Return the part of a host name that stands for the Snowflake account *value*, which may be a whole URL or host.

    Raises:
        ConfigurationError: If it is no account identifier.

    Source: Snowflake documentation, "Account identifiers", read 2026-11-21: underscores become hyphens in host names.
    """
    label = host(value).removesuffix(".snowflakecomputing.com").replace("_", "-")
    if _ACCOUNT.fullmatch(label) is None:
        msg = f"The account is an identifier such as 'myorg-account1', not {value!r}."
        raise ConfigurationError(msg)
    return label


_PROJECT_ENV = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
_VERTEX_BATCHES = "Cloud Storage or BigQuery"  # Google Cloud, "Batch inference", read 2026-11-21
_GOOGLE_TOKEN = Option(personal=True, meaning="an access token, or a function that returns one, in place of Google's usual credentials")


def _location(*env: str) -> Option:
    where = "where the project's models run: global, us, eu or a region such as europe-west4"
    return Option(env=env, default="global", meaning=where, read=vertex_host)


ROWS: Mapping[str, Row] = {
    "azure": lambda name: Provider(
        name=name,
        catalogue=(name, "openai"),
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
            "api": API,
            "token": Option(
                personal=True,
                env=("AZURE_OPENAI_AD_TOKEN", "AZURE_AD_TOKEN"),
                meaning="a token of Entra ID, or a function that returns one",
            ),
            "tenant_id": Option(personal=True, env=("AZURE_TENANT_ID",), meaning="the tenant's id, for Entra ID"),
            "client_id": Option(personal=True, env=("AZURE_CLIENT_ID",), meaning="the id of a client, a managed identity or a workload's"),
            "client_secret": Option(personal=True, env=("AZURE_CLIENT_SECRET",), meaning="the client's secret"),
            "scope": Option(
                personal=True, env=("AZURE_SCOPE",), meaning="what Entra ID's token is for, where it is not cognitiveservices.azure.com"
            ),
            "authority": Option(
                personal=True, env=("AZURE_AUTHORITY_HOST",), meaning="the host of Entra ID, where it is not the public cloud's"
            ),
        },
        dialect=_azure({}),
        choose_dialect=_azure,
        choose_access=azure_access,
    ),
    "vertex": lambda name: Provider(
        name=name,
        catalogue=(name, "google"),
        base_url="https://{location}/v1beta1",
        default_path="/v1beta1",
        own_path="/(?:projects|publishers)/.*",
        key_env=("GOOGLE_API_KEY",),
        base_env=("GOOGLE_VERTEX_BASE_URL",),
        auth=HeaderAuth("x-goog-api-key", ""),
        options={
            "project": Option(env=_PROJECT_ENV, meaning="the project's id; an express key needs none"),
            "location": _location("GOOGLE_CLOUD_LOCATION"),
            "token": _GOOGLE_TOKEN,
        },
        dialect=_gemini_on_vertex(name),
        choose_access=vertex_access,
        batches_in=_VERTEX_BATCHES,
        guests={"claude-": _claude_on_vertex},
    ),
    "databricks": lambda name: Provider(
        name=name,
        base_url="https://{host}/serving-endpoints",
        default_path="/serving-endpoints",
        key_env=("DATABRICKS_TOKEN",),
        base_env=urls("DATABRICKS"),
        options={
            "host": Option(env=("DATABRICKS_HOST",), meaning="the workspace's address, https://NAME.cloud.databricks.com", read=host),
            "client_id": Option(personal=True, env=("DATABRICKS_CLIENT_ID",), meaning="the id of a service principal, in place of a token"),
            "client_secret": Option(personal=True, env=("DATABRICKS_CLIENT_SECRET",), meaning="its OAuth secret"),
        },
        choose_access=databricks_access,
        dialect=OpenAIChat(
            owner=name, models_path=None, replay="content", strict_tools=False, speaker_names=False, one_system=True, silence="absent"
        ),
    ),
    "snowflake": lambda name: Provider(
        name=name,
        base_url="https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
        default_path="/api/v2/cortex/v1",
        key_env=("SNOWFLAKE_TOKEN", "SNOWFLAKE_JWT"),
        base_env=urls("SNOWFLAKE"),
        options={
            "account": Option(
                env=("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_ACCOUNT_ID"), meaning="the account's identifier, ORG-ACCOUNT", read=account_label
            ),
            "token_type": Option(
                default="PROGRAMMATIC_ACCESS_TOKEN", meaning="PROGRAMMATIC_ACCESS_TOKEN, KEYPAIR_JWT or OAUTH: what the key is"
            ),
            "user": Option(personal=True, env=("SNOWFLAKE_USER",), meaning="the login name that a key pair is of"),
            "private_key_path": Option(
                personal=True,
                env=("SNOWFLAKE_PRIVATE_KEY_PATH", "SNOWFLAKE_PRIVATE_KEY_FILE"),
                meaning="the file of a private key, in place of a token",
            ),
            "private_key": Option(personal=True, env=("SNOWFLAKE_PRIVATE_KEY",), meaning="the private key itself, in PEM or DER"),
            "passphrase": Option(
                personal=True,
                env=("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "PRIVATE_KEY_PASSPHRASE"),
                meaning="what the private key is encrypted with",
            ),
        },
        choose_access=snowflake_access,
        # Models are listed above the base URL, in a form that is not OpenAI's.
        dialect=OpenAIChat(
            owner=name,
            models_path=None,
            headers={"X-Snowflake-Authorization-Token-Type": "{token_type}"},
            max_tokens_field="max_completion_tokens",
            reasoning="nested",
            replay="reasoning_details",
            strict_tools=False,
        ),
    ),
}


def _azure(options: Mapping[str, str]) -> Dialect:
    """
    Return Azure's wire: the v1 API, or with a dated ``api_version`` the older one that has the deployment in its path. Responses are
    in the first only.

    Source: Microsoft Learn, "Azure OpenAI API version lifecycle", read 2026-11-21.
    """
    owner = "azure"
    current = options.get("api_version", "v1") in ("v1", "preview", "latest")
    if wants_responses(options, owner):
        if not current:
            msg = f"The option 'api' of {owner} is responses in its v1 API only: leave out api_version={options['api_version']!r}."
            raise ConfigurationError(msg)
        return responses(owner, path="/openai/v1/responses", models_path="/openai/v1/models", model_option="deployment")
    if current:
        return OpenAIChat(
            owner=owner,
            path="/openai/v1/chat/completions",
            models_path="/openai/v1/models",
            model_option="deployment",
            max_tokens_field="max_completion_tokens",
            tool_for_schema=True,
        )
    return OpenAIChat(
        owner=owner,
        path="/openai/deployments/{model}/chat/completions",
        models_path="/openai/models",
        query="api-version={api_version}",
        model_option="deployment",
        max_tokens_field="max_completion_tokens",
        tool_for_schema=True,
    )


def _gemini_on_vertex(owner: str) -> Dialect:
    from llmkit.dialects.gemini import Gemini

    return Gemini(owner=owner, publisher="publishers/google/", project_option="project", location_option="location")


def _claude_on_vertex(name: str) -> Provider:
    """
    Return the row of Claude's models on Vertex AI.

    Source: Anthropic, "Claude on Vertex AI", and its package (2.12), ``lib/vertex``; read 2026-11-21. Links to pictures are refused
    there ("URL sources are not supported", in an issue of LiteLLM, 2026).
    """
    from llmkit.dialects.anthropic import AnthropicMessages

    models = "/projects/{project}/locations/{location}/publishers/anthropic/models/{model}"
    return Provider(
        name=name,
        catalogue=("vertex", "anthropic"),
        batches_in=_VERTEX_BATCHES,
        base_url="https://{location}/v1",
        default_path="/v1",
        own_path="/(?:projects|publishers)/.*",
        base_env=("ANTHROPIC_VERTEX_BASE_URL", "GOOGLE_VERTEX_BASE_URL"),
        options={
            "project": Option(env=("ANTHROPIC_VERTEX_PROJECT_ID", *_PROJECT_ENV), meaning="the project's id"),
            "location": _location("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION"),
            "token": _GOOGLE_TOKEN,
            "beta": Option(meaning="the names of features in beta, joined by commas"),
        },
        # Its seals are told apart from Gemini's, which have the same provider.
        dialect=AnthropicMessages(
            owner=f"{name}-anthropic",
            path=f"{models}:rawPredict",
            stream_path=f"{models}:streamRawPredict",
            models_path=None,
            model_in_body=False,
            version_in_body="vertex-2023-10-16",
            inline_media=True,
        ),
        choose_access=vertex_claude_access,
    )
