"""
The wires of Amazon Bedrock, where each is, and how one shows who one is there.

The runtime has Converse for all models and, for Claude, the Messages wire in an envelope; another host beside it, called Mantle, has
OpenAI's two. An API key works for all of them, and so does a signature: the hosts only differ in the name that signs.

Source: AWS, "Amazon Bedrock API reference" and "Amazon Bedrock user guide" (API keys, OpenAI-compatible endpoints); anthropic 2.12,
``lib/bedrock``; pydantic-ai at 4fda389, ``providers/bedrock.py``; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.auth.base import Auth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.providers.aws import aws_access, aws_host, aws_options
from llmkit.providers.means import Means
from llmkit.providers.provider import Option
from llmkit.providers.responses import responses

__all__ = ["bedrock_access", "bedrock_dialect", "bedrock_options"]

RUNTIME = ("converse", "invoke")
MANTLE = ("chat", "responses")


def bedrock_options() -> dict[str, Option]:
    """Return the options of the provider's row, whose base URL is that of ``{host}``."""
    said = aws_options("bedrock-runtime")
    return {
        **said,
        "region": Option(env=said["region"].env, meaning=said["region"].meaning),
        "host": Option(meaning="the host, where it is not the region's own, such as one for FIPS"),
        "api": Option(default=RUNTIME[0], meaning="converse, invoke for Claude's own wire, chat or responses for OpenAI's"),
        "beta": Option(meaning="the names of features in beta, joined by commas"),
    }


def bedrock_access(means: Means) -> tuple[dict[str, str], Auth | None]:
    """Return the options in force, with the host, and the way to show who one is: see ``aws_access``."""
    on_mantle = means.options.get("api") in MANTLE
    service = "bedrock-mantle" if on_mantle else "bedrock"
    said, auth = aws_access(service, takes_key=True)(means)
    region = said["region"]
    own = f"bedrock-mantle.{region}.api.aws" if on_mantle else aws_host("bedrock-runtime")(region)
    return {**said, "host": said.get("host") or own}, auth


def bedrock_dialect(options: Mapping[str, str]) -> Dialect:
    """
    Return the wire that the option ``api`` names.

    Raises:
        ConfigurationError: If it names none.
    """
    owner, api = "bedrock", options.get("api", RUNTIME[0])
    if api == "responses":
        return responses(owner, path="/v1/responses", models_path=None)
    if api == "chat":
        # Thoughts and blocks of its other wires are none of this one.
        return OpenAIChat(owner=f"{owner}-chat", path="/v1/chat/completions", models_path=None)
    if api == "invoke":
        from llmkit.catalogue.converse import converse_rules  # only for those who use it: most programs speak to one provider
        from llmkit.dialects.anthropic import AnthropicMessages

        return AnthropicMessages(
            owner=f"{owner}-invoke",
            path="/model/{model}/invoke",
            stream_path="/model/{model}/invoke-with-response-stream",
            models_path=None,
            model_in_body=False,
            stream_in_body=False,
            version_in_body="bedrock-2023-05-31",
            betas_in_body=True,
            inline_media=True,
            schemas_for=lambda model: bool(converse_rules(model).schemas),
            envelope="aws",
        )
    if api != "converse":
        msg = f"The option 'api' of {owner} is one of {', '.join(RUNTIME + MANTLE)}, not {api!r}."
        raise ConfigurationError(msg)
    from llmkit.catalogue.converse import converse_rules
    from llmkit.dialects.bedrock import BedrockConverse

    return BedrockConverse(owner=owner, rules=converse_rules)
