"""SageMaker's endpoints, and the choice between the two wires of the containers behind them."""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.providers.aws import aws_access, aws_options, region_of_arn
from llmkit.providers.provider import Option, Provider

__all__ = ["sagemaker"]

# What goes along as a header is named here and written by the dialect.
HEADER_OPTIONS: Mapping[str, str] = {
    "inference_component": "the inference component to ask, where an endpoint hosts several",
    "target_model": "the model to ask, where an endpoint hosts several",
    "target_variant": "the production variant to ask",
    "target_container": "the host name of the container to ask, where an endpoint has several",
    "inference_id": "an id under which the captured request is found again",
    "session_id": "the id of a session, or NEW_SESSION",
    "prefix_aware_id": "what requests share that are to meet the same warm cache",
    "enable_explanations": "an expression that says whether the answer is to be explained",
    "custom_attributes": "what the container gets as CustomAttributes",
}


def sagemaker(name: str) -> Provider:
    """Return the row of SageMaker."""

    def dialect(options: Mapping[str, str]) -> Dialect:
        from llmkit.dialects.sagemaker import SageMaker  # only for those who use it: most programs speak to one provider

        return SageMaker(owner=name, container=_container(name, options))

    return Provider(
        name=name,
        base_url="https://{region}",
        own_path="/endpoints(?:/.*)?",
        base_env=("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",),
        key_required=False,
        batches_in="S3",  # Amazon SageMaker AI Developer Guide, "Batch transform", read 2026-11-21
        options={
            "api": Option(default="chat", meaning="chat for the chat completions of its containers, generate for prompts"),
            "chat_template": Option(default="plain", meaning="how generate writes messages: plain, raw, chatml or llama3"),
            "served_model": Option(meaning="the model's name in the container, where that one checks it"),
            **aws_options("runtime.sagemaker"),
            **{option: Option(meaning=meaning) for option, meaning in HEADER_OPTIONS.items()},
        },
        dialect=dialect({}),
        choose_dialect=dialect,
        choose_access=aws_access("sagemaker", takes_key=False),
        options_of_model=region_of_arn,
    )


def _container(name: str, options: Mapping[str, str]) -> Dialect:
    api = options.get("api", "chat")
    if api == "generate":
        from llmkit.dialects.tgi import TGI

        return TGI(owner=name)
    if api != "chat":
        msg = f"The option 'api' of {name} is one of chat, generate, not {api!r}."
        raise ConfigurationError(msg)
    return OpenAIChat(
        owner=name,
        models_path=None,
        model_option="served_model",
        schema="value",
        strict_tools=False,
        think_tags=True,
        withholds={"user", "metadata", "parallel_tool_calls", "reasoning"},
    )
