"""The table of providers: where requests end up, which variables are read, and how more rows come in."""

from __future__ import annotations

import string
import threading
from importlib import import_module
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmkit.auth.base import HeaderAuth
from llmkit.dialects.base import Place
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.models.request import make_request
from llmkit.providers import (
    ROWS,
    Option,
    Provider,
    check_options,
    detectable,
    find_provider,
    meant_by,
    owner_of,
    provider_names,
    register_provider,
    registry,
    split_model,
    whose_is,
)
from llmkit.providers.table import ALIASES, DETECTED, ELSEWHERE, MODEL_PREFIXES, TABLE
from llmkit.secrets import Secret
from llmkit.transport.base import HttpRequest

# name: (options, URL of a completion, URL of the list of models, first key variable, header and start of its value)
BEARER = ("Authorization", "Bearer ")
FACTS: dict[str, tuple[dict[str, str], str, str | None, str | None, tuple[str, str]]] = {
    "openai": ({}, "https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/models", "OPENAI_API_KEY", BEARER),
    "openai-responses": ({}, "https://api.openai.com/v1/responses", "https://api.openai.com/v1/models", "OPENAI_API_KEY", BEARER),
    "anthropic": (
        {},
        "https://api.anthropic.com/v1/messages",
        "https://api.anthropic.com/v1/models?limit=1000",
        "ANTHROPIC_API_KEY",
        ("x-api-key", ""),
    ),
    "bedrock": (
        {"host": "bedrock-runtime.us-east-1.amazonaws.com"},
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse",
        "https://bedrock.us-east-1.amazonaws.com/foundation-models",
        "AWS_BEARER_TOKEN_BEDROCK",
        BEARER,
    ),
    "azure": (
        {"endpoint": "https://res.openai.azure.com/"},
        "https://res.openai.azure.com/openai/v1/chat/completions",
        "https://res.openai.azure.com/openai/v1/models",
        "AZURE_OPENAI_API_KEY",
        ("api-key", ""),
    ),
    "google": (
        {},
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
        "GOOGLE_API_KEY",
        ("x-goog-api-key", ""),
    ),
    "sagemaker": (
        {"region": "us-east-1"},
        "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/m/invocations",
        None,
        None,
        BEARER,
    ),
    "vertex": (
        {},
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/m:generateContent",
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models?pageSize=1000",
        "GOOGLE_API_KEY",
        ("x-goog-api-key", ""),
    ),
    "openrouter": (
        {},
        "https://openrouter.ai/api/v1/chat/completions",
        "https://openrouter.ai/api/v1/models",
        "OPENROUTER_API_KEY",
        BEARER,
    ),
    "xai": ({}, "https://api.x.ai/v1/chat/completions", "https://api.x.ai/v1/models", "XAI_API_KEY", BEARER),
    "deepseek": ({}, "https://api.deepseek.com/chat/completions", "https://api.deepseek.com/models", "DEEPSEEK_API_KEY", BEARER),
    "groq": (
        {},
        "https://api.groq.com/openai/v1/chat/completions",
        "https://api.groq.com/openai/v1/models",
        "GROQ_API_KEY",
        BEARER,
    ),
    "mistral": ({}, "https://api.mistral.ai/v1/chat/completions", "https://api.mistral.ai/v1/models", "MISTRAL_API_KEY", BEARER),
    "cohere": (
        {},
        "https://api.cohere.com/v2/chat",
        "https://api.cohere.com/v1/models?endpoint=chat&page_size=1000",
        "CO_API_KEY",
        BEARER,
    ),
    "codestral": (
        {},
        "https://codestral.mistral.ai/v1/chat/completions",
        "https://codestral.mistral.ai/v1/models",
        "CODESTRAL_API_KEY",
        BEARER,
    ),
    "together": ({}, "https://api.together.ai/v1/chat/completions", "https://api.together.ai/v1/models", "TOGETHER_API_KEY", BEARER),
    "fireworks": (
        {},
        "https://api.fireworks.ai/inference/v1/chat/completions",
        "https://api.fireworks.ai/inference/v1/models",
        "FIREWORKS_API_KEY",
        BEARER,
    ),
    "cerebras": ({}, "https://api.cerebras.ai/v1/chat/completions", "https://api.cerebras.ai/v1/models", "CEREBRAS_API_KEY", BEARER),
    "perplexity": ({}, "https://api.perplexity.ai/chat/completions", None, "PERPLEXITY_API_KEY", BEARER),
    "nvidia": (
        {},
        "https://integrate.api.nvidia.com/v1/chat/completions",
        "https://integrate.api.nvidia.com/v1/models",
        "NVIDIA_API_KEY",
        BEARER,
    ),
    "huggingface": (
        {},
        "https://router.huggingface.co/v1/chat/completions",
        "https://router.huggingface.co/v1/models",
        "HF_TOKEN",
        BEARER,
    ),
    "moonshot": ({}, "https://api.moonshot.ai/v1/chat/completions", "https://api.moonshot.ai/v1/models", "MOONSHOT_API_KEY", BEARER),
    "dashscope": (
        {},
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        "https://dashscope.aliyuncs.com/compatible-mode/v1/models",
        "DASHSCOPE_API_KEY",
        BEARER,
    ),
    "zhipu": ({}, "https://api.z.ai/api/paas/v4/chat/completions", "https://api.z.ai/api/paas/v4/models", "ZAI_API_KEY", BEARER),
    "minimax": ({}, "https://api.minimax.io/v1/chat/completions", None, "MINIMAX_API_KEY", BEARER),
    "ark": (
        {},
        "https://ark.cn-beijing.volces.com/api/v3/chat/completions",
        "https://ark.cn-beijing.volces.com/api/v3/models",
        "ARK_API_KEY",
        BEARER,
    ),
    "qianfan": (
        {},
        "https://qianfan.baidubce.com/v2/chat/completions",
        "https://qianfan.baidubce.com/v2/models",
        "QIANFAN_API_KEY",
        BEARER,
    ),
    "voyage": ({}, "https://api.voyageai.com/v1/chat/completions", None, "VOYAGE_API_KEY", BEARER),
    "siliconflow": (
        {},
        "https://api.siliconflow.com/v1/chat/completions",
        "https://api.siliconflow.com/v1/models",
        "SILICONFLOW_API_KEY",
        BEARER,
    ),
    "venice": ({}, "https://api.venice.ai/api/v1/chat/completions", "https://api.venice.ai/api/v1/models", "VENICE_API_KEY", BEARER),
    "databricks": (
        {"host": "adb-1.azuredatabricks.net"},
        "https://adb-1.azuredatabricks.net/serving-endpoints/chat/completions",
        None,
        "DATABRICKS_TOKEN",
        BEARER,
    ),
    "snowflake": (
        {"account": "myorg-my_account"},
        "https://myorg-my-account.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
        None,
        "SNOWFLAKE_TOKEN",
        BEARER,
    ),
    "litellm": ({}, "http://localhost:4000/v1/chat/completions", "http://localhost:4000/v1/models", "LITELLM_PROXY_API_KEY", BEARER),
    "vllm": ({}, "http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1/models", "VLLM_API_KEY", BEARER),
    "ollama": ({}, "http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434/api/tags", "OLLAMA_API_KEY", BEARER),
    "lmstudio": ({}, "http://localhost:1234/v1/chat/completions", "http://localhost:1234/v1/models", "LM_STUDIO_API_KEY", BEARER),
    "fastchat": ({}, "http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1/models", "FASTCHAT_API_KEY", BEARER),
    "textgen": ({}, "http://127.0.0.1:5000/v1/chat/completions", "http://127.0.0.1:5000/v1/models", "TEXTGEN_API_KEY", BEARER),
    "llamacpp": ({}, "http://127.0.0.1:8080/v1/chat/completions", "http://127.0.0.1:8080/v1/models", "LLAMACPP_API_KEY", BEARER),
    "heroku": (
        {},
        "https://us.inference.heroku.com/v1/chat/completions",
        "https://us.inference.heroku.com/available-models",
        "HEROKU_INFERENCE_KEY",
        BEARER,
    ),
    "vercel": (
        {},
        "https://ai-gateway.vercel.sh/v1/chat/completions",
        "https://ai-gateway.vercel.sh/v1/models",
        "AI_GATEWAY_API_KEY",
        BEARER,
    ),
    "cloudflare": (
        {"account": "abc123"},
        "https://api.cloudflare.com/client/v4/accounts/abc123/ai/v1/chat/completions",
        "https://api.cloudflare.com/client/v4/accounts/abc123/ai/v1/models",
        "CLOUDFLARE_API_TOKEN",
        BEARER,
    ),
    "cloudflare-gateway": (
        {"account": "abc123", "gateway": "prod"},
        "https://gateway.ai.cloudflare.com/v1/abc123/prod/compat/chat/completions",
        None,
        None,
        BEARER,
    ),
    "portkey": (
        {},
        "https://api.portkey.ai/v1/chat/completions",
        "https://api.portkey.ai/v1/models",
        "PORTKEY_API_KEY",
        ("x-portkey-api-key", ""),
    ),
    "helicone": (
        {},
        "https://ai-gateway.helicone.ai/v1/chat/completions",
        "https://ai-gateway.helicone.ai/models",
        "HELICONE_API_KEY",
        BEARER,
    ),
    "helicone-proxy": (
        {},
        "https://oai.helicone.ai/v1/chat/completions",
        "https://oai.helicone.ai/v1/models",
        "OPENAI_API_KEY",
        BEARER,
    ),
    "gemini-openai": (
        {},
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        "https://generativelanguage.googleapis.com/v1beta/openai/models",
        "GEMINI_API_KEY",
        BEARER,
    ),
}

HOSTS = {
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "sambanova": ("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "nebius": ("https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY"),
    "novita": ("https://api.novita.ai/v3/openai", "NOVITA_API_KEY"),
    "hyperbolic": ("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    "baseten": ("https://inference.baseten.co/v1", "BASETEN_API_KEY"),
    "crusoe": ("https://api.inference.crusoecloud.com/v1", "CRUSOE_API_KEY"),
    "ovh": ("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "OVHCLOUD_API_KEY"),
    "scaleway": ("https://api.scaleway.ai/v1", "SCW_SECRET_KEY"),
    "lambda": ("https://api.lambda.ai/v1", "LAMBDA_API_KEY"),
    "friendli": ("https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN"),
    "featherless": ("https://api.featherless.ai/v1", "FEATHERLESS_API_KEY"),
    "chutes": ("https://llm.chutes.ai/v1", "CHUTES_API_KEY"),
    "wandb": ("https://api.inference.wandb.ai/v1", "WANDB_API_KEY"),
    "requesty": ("https://router.requesty.ai/v1", "REQUESTY_API_KEY"),
    "poe": ("https://api.poe.com/v1", "POE_API_KEY"),
    "v0": ("https://api.v0.dev/v1", "V0_API_KEY"),
    "meta": ("https://api.meta.ai/v1", "META_API_KEY"),
    "llama": ("https://api.llama.com/compat/v1", "LLAMA_API_KEY"),
    "ai21": ("https://api.ai21.com/studio/v1", "AI21_API_KEY"),
    "modelscope": ("https://api-inference.modelscope.cn/v1", "MODELSCOPE_API_KEY"),
    "tencent": ("https://tokenhub-intl.tencentcloudmaas.com/v1", "TENCENT_API_KEY"),
    "xiaomi": ("https://api.xiaomimimo.com/v1", "XIAOMI_MIMO_API_KEY"),
    "inception": ("https://api.inceptionlabs.ai/v1", "INCEPTION_API_KEY"),
    "gmi": ("https://api.gmi-serving.com/v1", "GMI_API_KEY"),
    "aihubmix": ("https://aihubmix.com/v1", "AIHUBMIX_API_KEY"),
}
FACTS.update({name: ({}, f"{base}/chat/completions", f"{base}/models", key, BEARER) for name, (base, key) in HOSTS.items()})

# Rows without an address of their own.
WHEREVER = {"custom", "tgi"}


def in_force(row: Provider, options: dict[str, str]) -> dict[str, str]:
    """Return *options* with the defaults of those that are not given."""
    return {**{name: option.default for name, option in row.options.items() if option.default is not None}, **options}


def completion_url(row: Provider, url: str | None, options: dict[str, str]) -> str:
    """Return where a completion of *row* goes."""
    force = in_force(row, options)
    place = Place(base_url=row.base(url, force), options=force)
    return row.dialect_for(force).encode(make_request("Hi", model="m"), place).url


def models_url(row: Provider, options: dict[str, str]) -> str | None:
    """Return where the models of *row* are listed."""
    force = in_force(row, options)
    request = row.dialect_for(force).encode_models(Place(base_url=row.base(None, force), options=force))
    return None if request is None else request.url


# -- where requests end up


def test_every_row_has_its_facts() -> None:
    """No row is without a test of its address."""
    assert set(FACTS) | WHEREVER == set(provider_names())


@pytest.mark.parametrize("name", FACTS)
def test_a_completion_goes_to_the_documented_url(name: str) -> None:
    """Nothing but the required options leads to the provider's own address."""
    options, expected, _, _, _ = FACTS[name]

    assert expected == completion_url(find_provider(name), None, options)


@pytest.mark.parametrize("name", FACTS)
def test_models_are_listed_at_the_documented_url(name: str) -> None:
    """A provider without a list has no request for it."""
    options, _, expected, _, _ = FACTS[name]

    assert expected == models_url(find_provider(name), options)


@pytest.mark.parametrize("name", FACTS)
def test_the_documented_variable_comes_first(name: str) -> None:
    """The provider's own name for its key wins over those of other libraries."""
    row = find_provider(name)

    assert FACTS[name][3] == next(iter(row.key_env), None)


@pytest.mark.parametrize("name", FACTS)
def test_the_key_goes_into_the_documented_header(name: str) -> None:
    """Bearer, or the header that the provider has for it."""
    options, _, _, _, (header, prefix) = FACTS[name]
    row = find_provider(name)
    force = in_force(row, options)
    request = row.dialect_for(force).encode(make_request("Hi", model="m"), Place(base_url=row.base(None, force), options=force))

    headers = row.auth.headers(request, Secret("sk-test"))

    assert {header: f"{prefix}sk-test"} == dict(headers)


@pytest.mark.parametrize("name", FACTS)
def test_the_base_may_be_pasted_in_any_form(name: str) -> None:
    """With a slash at the end, or as the URL of the completion itself, a base URL is the same base."""
    options, expected, _, _, _ = FACTS[name]
    row = find_provider(name)
    base = row.base(None, in_force(row, options))

    seen = {completion_url(row, url, options) for url in (base, base + "/", expected)}

    assert {expected} == seen


@pytest.mark.parametrize("name", sorted(set(FACTS) - {"cloudflare", "cloudflare-gateway"}))
def test_a_bare_host_gets_the_path_of_the_provider(name: str) -> None:
    """Scheme and host suffice, as for a proxy in front of the provider."""
    options, expected, _, _, _ = FACTS[name]
    path = expected.split("/", 3)[3]

    assert f"https://proxy.example/{path}" == completion_url(find_provider(name), "https://proxy.example", options)


@pytest.mark.parametrize("name", sorted(WHEREVER))
def test_a_server_of_ones_own_has_no_address(name: str) -> None:
    """Its base URL is asked for, and a bare host means /v1."""
    row = find_provider(name)

    with pytest.raises(ConfigurationError, match="pass base_url="):
        row.base(None, {})
    assert "http://gpu:9000/v1/chat/completions" == completion_url(row, "http://gpu:9000", {})


@pytest.mark.parametrize(
    "url",
    [
        "https://res.openai.azure.com",
        "https://res.openai.azure.com/openai",
        "https://res.openai.azure.com/openai/v1/",
        "https://res.openai.azure.com/openai/deployments",
        "https://res.openai.azure.com/openai/deployments/gpt4/",
        "https://res.openai.azure.com/openai/deployments/gpt4/chat/completions",
    ],
)
@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/openai/v1/chat/completions"),
        ({"api_version": "preview"}, "/openai/v1/chat/completions"),
        ({"api_version": "2024-10-21"}, "/openai/deployments/m/chat/completions?api-version=2024-10-21"),
        ({"api_version": "2024-10-21", "deployment": "my dep"}, "/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21"),
    ],
)
def test_azure_has_two_apis(url: str, options: dict[str, str], path: str) -> None:
    """A dated version means the API with the deployment in its path, whatever the pasted URL was of."""
    assert f"https://res.openai.azure.com{path}" == completion_url(find_provider("azure"), url, options)


def test_azure_behind_a_gateway_keeps_the_gateways_path() -> None:
    """What stands before Azure's own path is not Azure's."""
    expected = "https://apim.example/team/openai/v1/chat/completions"

    assert expected == completion_url(find_provider("azure"), "https://apim.example/team", {})


def test_azure_lists_models_beside_the_deployments() -> None:
    """With a dated version, too, the list carries the version."""
    options = {"endpoint": "res.openai.azure.com", "api_version": "2024-10-21"}

    assert "https://res.openai.azure.com/openai/models?api-version=2024-10-21" == models_url(find_provider("azure"), options)


@pytest.mark.parametrize(
    ("name", "region", "host"),
    [
        ("moonshot", "cn", "api.moonshot.cn"),
        ("dashscope", "intl", "dashscope-intl.aliyuncs.com"),
        ("dashscope", "us", "dashscope-us.aliyuncs.com"),
        ("zhipu", "cn", "open.bigmodel.cn"),
        ("minimax", "cn", "api.minimaxi.com"),
        ("siliconflow", "cn", "api.siliconflow.cn"),
        ("heroku", "eu", "eu.inference.heroku.com"),
    ],
)
def test_a_region_has_a_host_of_its_own(name: str, region: str, host: str) -> None:
    """Only the host changes."""
    row = find_provider(name)
    elsewhere = completion_url(row, None, {"region": region})

    assert host == elsewhere.split("/")[2]
    assert elsewhere.split("/")[3:] == completion_url(row, None, {}).split("/")[3:]


def test_a_region_that_is_none_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(ConfigurationError, match="one of cn, intl, us, not 'mars'"):
        find_provider("dashscope").base(None, {"region": "mars"})


@pytest.mark.parametrize(
    "account", ["myorg-my_account", "https://myorg-my-account.snowflakecomputing.com/", "myorg-my-account.snowflakecomputing.com"]
)
def test_a_snowflake_account_may_be_pasted_as_its_host(account: str) -> None:
    """The identifier, the host and the URL mean the same; underscores are hyphens in hosts."""
    expected = "https://myorg-my-account.snowflakecomputing.com/api/v2/cortex/v1"

    assert expected == find_provider("snowflake").base(None, {"account": account})


@pytest.mark.parametrize("host", ["adb-1.net", "https://adb-1.net", "https://adb-1.net/"])
def test_a_databricks_host_may_have_a_scheme(host: str) -> None:
    """As its own tools write it."""
    assert "https://adb-1.net/serving-endpoints" == find_provider("databricks").base(None, {"host": host})


def test_the_scheme_of_a_host_counts() -> None:
    """A server on this machine is reached over plain http, if it says so."""
    assert "http://127.0.0.1:8080/serving-endpoints" == find_provider("databricks").base(None, {"host": "http://127.0.0.1:8080"})


def test_a_newer_path_of_databricks_is_kept() -> None:
    """A base URL with a path of its own is taken as it is."""
    expected = "https://adb-1.net/ai-gateway/mlflow/v1/chat/completions"

    assert expected == completion_url(find_provider("databricks"), "https://adb-1.net/ai-gateway/mlflow/v1", {})


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("cloudflare", "account", "a/../../evil"),
        ("cloudflare", "account", "a?x=1"),
        ("cloudflare", "account", "a#"),
        ("cloudflare", "account", "a\r\nb"),
        ("snowflake", "account", "evil.example/x"),
        ("snowflake", "account", "me@evil.example"),
        ("databricks", "host", "user:pass@evil.example"),
        ("databricks", "host", "evil.example?x="),
        ("azure", "endpoint", "res.openai.azure.com#"),
    ],
)
def test_an_option_cannot_lead_elsewhere(name: str, option: str, value: str) -> None:
    """What would change the address beyond its place in it is refused."""
    row = find_provider(name)

    with pytest.raises(ConfigurationError):
        row.base(None, {option: value})


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_no_option_moves_a_key_to_another_host(value: str) -> None:
    """Whatever stands in the account, the host is the provider's or the value is refused."""
    row = find_provider("snowflake")

    try:
        base = row.base(None, {"account": value})
    except ConfigurationError:
        return

    assert base.startswith("https://")
    assert base.endswith(".snowflakecomputing.com/api/v2/cortex/v1")
    assert set(base[8:]) <= set(string.ascii_letters + string.digits + "./-")
    assert base.count("/") == 6


@pytest.mark.parametrize("name", ["cloudflare", "snowflake", "databricks", "azure"])
def test_an_option_that_is_missing_is_asked_for(name: str) -> None:
    """The error says its name, and the variable it is read from where there is one."""
    with pytest.raises(ConfigurationError, match=r"needs options=\{'\w+': \.\.\.\}"):
        find_provider(name).base(None, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gpu", "http://gpu:11434"),
        ("gpu:8080", "http://gpu:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("[::]:8080", "http://127.0.0.1:8080"),
        ("http://gpu", "http://gpu"),
        ("https://ollama.com", "https://ollama.com"),
        ("https://ollama.com/v1", "https://ollama.com"),
        ("https://ollama.com/api/", "https://ollama.com"),
        ("https://proxy.example/ollama", "https://proxy.example/ollama"),
        (" 'gpu' ", "http://gpu:11434"),
    ],
)
def test_ollama_host_may_have_any_of_its_forms(value: str, expected: str) -> None:
    """What Ollama's own tools take is taken."""
    assert expected == find_provider("ollama").base(value, {})


# -- looking up


def test_every_alias_finds_its_provider() -> None:
    """Also in capitals."""
    found = {alias: find_provider(alias.upper()).name for aliases in ALIASES.values() for alias in aliases}

    assert {alias: name for name, aliases in ALIASES.items() for alias in aliases} == found


def test_aliases_stand_in_the_row() -> None:
    """A row knows its other names, so that they can be shown."""
    assert ("qwen", "alibaba") == find_provider("dashscope").aliases


def test_the_documented_names_are_known() -> None:
    """All names of the public contract that speak this wire, with their aliases."""
    names = ["openai", "azure", "azure_openai", "ollama", "openrouter", "litellm", "xai", "venice", "databricks", "snowflake", "deepseek"]
    names += ["ark", "volcengine", "qianfan", "vllm", "lmstudio", "fastchat", "textgen", "custom", "mistral", "groq", "together"]
    names += ["fireworks", "cerebras", "perplexity", "huggingface", "nvidia", "moonshot", "dashscope", "qwen", "zhipu", "zai", "minimax"]
    names += ["siliconflow", "heroku", "cloudflare", "vercel", "llamacpp"]

    assert [] == [name for name in names if name not in ROWS]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A typing mistake costs one look at the message."""
    with pytest.raises(ConfigurationError, match=r"no provider 'opnai'\. Did you mean 'openai'"):
        find_provider("opnai")


def test_a_row_is_made_once() -> None:
    """All who ask get the same one, whichever name they ask by."""
    assert find_provider("zai") is find_provider("zhipu")


@pytest.mark.parametrize(("module", "names"), ELSEWHERE.items())
def test_the_table_knows_whose_rows_are_elsewhere(module: str, names: str) -> None:
    """In the order in which they stand there."""
    assert list(import_module(module).ROWS) == names.split()


def test_threads_get_the_same_row() -> None:
    """Even when they ask at once and the row is not yet made."""
    fresh = registry.Registry(TABLE)
    barrier = threading.Barrier(8)
    found: list[Provider | None] = []

    def ask() -> None:
        barrier.wait()
        found.append(fresh.find("groq"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len({id(row) for row in found})


def test_names_do_not_clash() -> None:
    """No alias is another's, and every entry of the side tables belongs to a row."""
    aliases = [alias for names in ALIASES.values() for alias in names]

    assert len(aliases) == len(set(aliases))
    assert set() == set(aliases) & set(TABLE)
    assert set() == (set(ALIASES) | set(MODEL_PREFIXES) | set(DETECTED)) - set(TABLE)


def test_an_owner_is_its_rows_name() -> None:
    """Thoughts and native blocks go back to the provider they came from, so two rows must not share an owner."""
    assert [row.name for row in ROWS] == [getattr(row.dialect, "owner", None) for row in ROWS]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("ollama/llama3.2:1b", ("ollama", "llama3.2:1b")),
        ("huggingface/meta-llama/Llama-3.1-8B", ("huggingface", "meta-llama/Llama-3.1-8B")),
        ("groq:openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("QWEN/qwen-plus", ("qwen", "qwen-plus")),
        ("llama.cpp/x", ("llama.cpp", "x")),
        ("gpt-4o", (None, "gpt-4o")),
        ("openai/", (None, "openai/")),
        ("nobody/model", (None, "nobody/model")),
    ],
)
def test_a_model_is_split_at_the_first_known_provider(model: str, expected: tuple[str | None, str]) -> None:
    """Later separators belong to the model."""
    assert expected == split_model(model)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("opnai/gpt-4o", "'opnai/gpt-4o'. Did you mean 'openai/gpt-4o'?"),
        ("Antropic:claude-sonnet-4-5", "Did you mean 'anthropic:claude-sonnet-4-5'?"),
        (
            "openai",
            "'openai' is a provider, and no model of it is named: write 'openai/MODEL', or pass provider='openai' for its usual one.",
        ),
        ("vllm/", "write 'vllm/MODEL'."),
        ("my-model", "Name the provider, as in 'openai/my-model', or pass provider=, or base_url="),
        ("/x", "Name the provider"),
    ],
)
def test_a_name_that_says_no_provider_is_answered_with_how_to_say_one(model: str, words: str) -> None:
    """The one that was probably meant first."""
    assert words in whose_is(model)


def test_only_what_is_much_alike_is_taken_for_a_misspelt_provider() -> None:
    """Where makers are named before models."""
    assert "google/gemini" == meant_by("goggle/gemini", alike=0.8)
    assert meant_by("models/gemini", alike=0.8) is None
    assert meant_by("gemini") is None


@pytest.mark.usefixtures("own_registry")
def test_an_option_that_nobody_has_is_refused() -> None:
    """Nothing that was said is passed over in silence."""
    with pytest.raises(ConfigurationError, match=r"azure has no option 'api_verison'\. Did you mean 'api_version'"):
        check_options(find_provider("azure"), ["endpoint", "api_verison"])
    with pytest.raises(ConfigurationError, match=r"openai has no option 'zone'\. There are api\."):
        check_options(find_provider("openai"), ["zone"])
    with pytest.raises(ConfigurationError, match=r"groq has no option 'zone'\.$"):
        check_options(find_provider("groq"), ["zone"])


@pytest.mark.usefixtures("own_registry")
def test_an_option_that_somebody_may_read_is_taken() -> None:
    """A fallback's, or that of a wire of one's own."""
    check_options(find_provider("openai"), ["api", "region"])
    check_options(register_provider("acme", base_url="https://llm.acme.example/v1"), ["zone"])
    check_options(register_provider("groq", base_url="https://llm.acme.example/v1", replace=True), ["zone"])


@pytest.mark.parametrize(
    ("model", "owner"),
    [
        ("gpt-4o-mini", "openai"),
        ("gpt-5.4", "openai"),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("ft:gpt-4o:acme::1", "openai"),
        ("deepseek-flash", "deepseek"),
        ("grok-4.20", "xai"),
        ("mistral-small-latest", "mistral"),
        ("Codestral-latest", "mistral"),
        ("magistral-medium-latest", "mistral"),
        ("qwen3-max", "dashscope"),
        ("glm-4.7", "zhipu"),
        ("kimi-k3", "moonshot"),
        ("moonshot-v1-8k", "moonshot"),
        ("sonar-pro", "perplexity"),
        ("command-a-03-2025", "cohere"),
        ("MiniMax-M3", "minimax"),
        ("gpt-oss-120b", None),
        ("llama-3.3-70b", None),
        ("qwen3:8b", None),
        ("deepseek-r1:8b", None),
        ("my-model", None),
    ],
)
def test_a_bare_name_tells_its_owner_where_only_one_makes_it(model: str, owner: str | None) -> None:
    """What several serve, or a local server tags, has no owner."""
    assert owner == owner_of(model)


def test_a_found_default_model_is_its_finders_own() -> None:
    """Detection never leads to a model that the table itself would send to somebody else."""
    strays = {row.name: owner_of(row.default_model or "") for row in detectable()}

    assert {} == {name: owner for name, owner in strays.items() if owner not in (None, name)}


def test_detection_has_its_order_and_a_model_for_each() -> None:
    """OpenAI first; tokens that are mostly for something else are not looked at."""
    rows = detectable()

    assert list(DETECTED) == [row.name for row in rows]
    assert "HF_TOKEN" not in {variable for row in rows for variable in row.key_env}


def test_local_servers_need_no_key() -> None:
    """Nor does a proxy or gateway that may hold the keys itself."""
    free = {row.name for row in ROWS if not row.key_required}

    assert {
        "custom",
        "tgi",
        "ollama",
        "vllm",
        "lmstudio",
        "llamacpp",
        "textgen",
        "fastchat",
        "litellm",
        "cloudflare-gateway",
        "sagemaker",
    } == free


# -- registering


@pytest.mark.usefixtures("own_registry")
def test_a_registered_provider_is_found_like_any_other() -> None:
    """By name, by alias, in a model's name, and in the list."""
    row = register_provider("acme", base_url="https://llm.acme.example/v1/", env="ACME_API_KEY", aliases=["acme-ai"])

    assert row is find_provider("acme-ai")
    assert ("acme", "big") == split_model("acme/big")
    assert "acme" in provider_names()
    assert ("ACME_API_KEY",) == row.key_env
    assert "https://llm.acme.example/v1/chat/completions" == completion_url(row, None, {})
    assert "acme" == getattr(row.dialect, "owner", None)


@pytest.mark.usefixtures("own_registry")
def test_other_fields_are_taken() -> None:
    """Whatever a row of the table can say, a registered one can say."""
    row = register_provider(
        "acme",
        base_url="https://{region}.acme.example/v1",
        env=("ACME_API_KEY",),
        auth=HeaderAuth("X-Acme-Key", ""),
        options={"region": Option(default="eu", meaning="where")},
        dialect=OpenAIChat(owner="acme", think_tags=True),
        model_prefixes="acme-",
        base_env="ACME_URL",
        default_model="acme-1",
    )

    assert "https://eu.acme.example/v1/chat/completions" == completion_url(row, None, {})
    assert "acme" == owner_of("acme-1")
    assert ("ACME_URL",) == row.base_env
    assert row is detectable()[-1]


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        (None, {"Authorization": "Bearer k"}),
        ("X-Acme-Key", {"X-Acme-Key": "k"}),
        (False, {}),
        (lambda: {"X-Token": "t"}, {"X-Token": "t"}),
        (HeaderAuth("X-Acme-Key", "Key "), {"X-Acme-Key": "Key k"}),
    ],
)
def test_the_key_is_sent_as_it_was_said(auth: Any, headers: dict[str, str]) -> None:
    """In each way that a client's own auth= may be said, too."""
    row = register_provider("acme", base_url="https://acme.example/v1", env="ACME_API_KEY", auth=auth)

    assert headers == dict(row.auth.headers(HttpRequest(method="POST", url="https://acme.example"), Secret("k")))


@pytest.mark.usefixtures("own_registry")
def test_a_provider_without_a_variable_needs_no_key() -> None:
    """A server of one's own is registered by its address alone."""
    assert not register_provider("mine", base_url="http://localhost:9000/v1").key_required


@pytest.mark.usefixtures("own_registry")
def test_a_taken_name_is_refused() -> None:
    """Neither a name nor an alias, of a row or of what was registered, is taken over unasked."""
    register_provider("acme", base_url="https://acme.example/v1", aliases="ac")

    for name, aliases in (("openai", ()), ("qwen", ()), ("mine", ("zai",)), ("ac", ())):
        with pytest.raises(ConfigurationError, match="already means the provider"):
            register_provider(name, base_url="https://mine.example/v1", aliases=aliases)
    assert "mine" not in provider_names()


@pytest.mark.usefixtures("own_registry")
def test_the_same_registration_may_be_repeated() -> None:
    """A notebook's cell may run twice."""
    first = register_provider("acme", base_url="https://acme.example/v1", aliases="ac")

    assert first == register_provider("acme", base_url="https://acme.example/v1", aliases="ac")


@pytest.mark.usefixtures("own_registry")
def test_a_name_is_taken_over_when_asked_for() -> None:
    """From then on everybody gets the new one; other names of the old one lead to it too."""
    before = find_provider("zhipu")

    row = register_provider("zhipu", base_url="https://mine.example/v4", env="MINE", model_prefixes=("glm-",), replace=True)

    assert before is not row
    assert row is find_provider("zhipu") is find_provider("zai")
    assert "zhipu" == owner_of("glm-5")


@pytest.mark.usefixtures("own_registry")
def test_a_registered_prefix_comes_before_the_tables() -> None:
    """Who registers one wants it."""
    register_provider("acme", base_url="https://acme.example/v1", model_prefixes=("gpt-4o-acme",))

    assert "acme" == owner_of("gpt-4o-acme-2")
    assert "openai" == owner_of("gpt-4o")


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("name", ["", "Acme", "a/b", "a:b", "-a", "a b", "ä"])
def test_a_name_that_could_not_be_split_off_is_refused(name: str) -> None:
    """A name stands before a separator, in lower case."""
    with pytest.raises(ConfigurationError):
        register_provider(name, base_url="https://acme.example/v1")


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "acme.example"},
        {"base_url": "https://user:pw@acme.example"},
        {"env": 3},
        {"env": ["", "A"]},
        {"aliases": ["A B"]},
        {"dialect": "openai"},
        {"colour": "red"},
        {"model_prefixes": 1},
        {"auth": "no header"},
        {"auth": True},
        {"options": ["region"]},
        {"options": {"region": "eu"}},
        {"headers": "X-A"},
    ],
)
def test_what_a_row_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """At the door, and nothing is registered."""
    arguments: dict[str, object] = {"base_url": "https://acme.example/v1", **wrong}

    with pytest.raises(ConfigurationError):
        register_provider("acme", **arguments)  # type: ignore[arg-type]  # that is the point
    assert "acme" not in provider_names()


def test_registering_from_many_threads_loses_none(own_registry: registry.Registry) -> None:
    """Each comes to be known under all its names."""

    def register(number: int) -> None:
        register_provider(f"acme{number}", base_url="https://acme.example/v1", aliases=f"a{number}", model_prefixes=f"m{number}-")

    threads = [threading.Thread(target=register, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [f"acme{number}" for number in range(16)] == [find_provider(f"a{number}").name for number in range(16)]
    assert [f"acme{number}" for number in range(16)] == [owner_of(f"m{number}-x") for number in range(16)]
    assert 16 == len(own_registry.added())


def test_a_forked_child_can_register(own_registry: registry.Registry) -> None:
    """A lock that another thread held at the moment of the fork does not hold the child up."""
    own_registry._lock.acquire()

    own_registry.renew()

    own_registry.add(evolve(find_provider("custom"), name="acme"), replace=False)
    assert "acme" == find_provider("acme").name


# -- the newer wire of those who have both


@pytest.mark.parametrize(
    ("name", "options", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1/responses"),
        ("azure", {"endpoint": "res.openai.azure.com"}, "https://res.openai.azure.com/openai/v1/responses"),
        ("openrouter", {}, "https://openrouter.ai/api/v1/responses"),
        ("deepseek", {}, "https://api.deepseek.com/responses"),
    ],
)
def test_the_option_api_chooses_responses(name: str, options: dict[str, str], url: str) -> None:
    """At the same address; models are where they were, and thoughts belong to the wire."""
    row = find_provider(name)
    force = {**options, "api": "responses"}

    assert url == completion_url(row, None, force)
    assert models_url(row, options) == models_url(row, force)
    assert f"{name}-responses" == getattr(row.dialect_for(force), "owner", None)
    with pytest.raises(ConfigurationError, match=f"'api' of {name} is one of chat, responses, not 'grpc'"):
        row.dialect_for({**options, "api": "grpc"})


def test_both_ways_to_responses_are_one() -> None:
    """So a history moves between them whole."""
    assert find_provider("openai-responses").dialect == find_provider("openai").dialect_for({"api": "responses"})


def test_responses_are_not_in_the_older_api_of_azure() -> None:
    """Which a dated version asks for."""
    with pytest.raises(ConfigurationError, match="v1 API only"):
        find_provider("azure").dialect_for({"api": "responses", "api_version": "2024-10-21"})
