"""
Messages as one prompt, for servers that only continue a text.

Each template writes every message between its role's marks and then opens the assistant's turn. The marks are those with which the
models of a family were taught; a text that holds such a mark is not told from the template's own.

Source: the chat templates in the tokenizers of Qwen 2.5 (ChatML) and Llama 3.1, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmkit.errors import ConfigurationError
from llmkit.models.content import Message, Native, Text, Thinking
from llmkit.values import frozen

__all__ = ["TEMPLATES", "Template", "prompt"]


@frozen(kw_only=True)
class Template:
    """
    How messages become a prompt.

    Args:
        turns: What stands around the text of a message, by its role; ``{text}`` is the text.
        opening: What opens the answer.
        begins: What stands before everything.
        is_raw: Whether there may be one message only, whose text is the whole prompt.
    """

    turns: Mapping[str, str]
    opening: str = ""
    begins: str = ""
    is_raw: bool = False


TEMPLATES: Mapping[str, Template] = {
    "plain": Template(
        turns={"system": "{text}\n\n", "user": "User: {text}\n", "assistant": "Assistant: {text}\n"},
        opening="Assistant:",
    ),
    "raw": Template(turns={"user": "{text}"}, is_raw=True),
    "chatml": Template(
        turns={
            "system": "<|im_start|>system\n{text}<|im_end|>\n",
            "user": "<|im_start|>user\n{text}<|im_end|>\n",
            "assistant": "<|im_start|>assistant\n{text}<|im_end|>\n",
        },
        opening="<|im_start|>assistant\n",
    ),
    "llama3": Template(
        begins="<|begin_of_text|>",
        turns={
            "system": "<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
            "user": "<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>",
            "assistant": "<|start_header_id|>assistant<|end_header_id|>\n\n{text}<|eot_id|>",
        },
        opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
}


def prompt(messages: Iterable[Message], template: Template) -> str:
    """
    Return *messages* as one text.

    Raises:
        ConfigurationError: If a message holds more than text (a picture, a tool's result), or the template does not take so many.
    """
    turns = [(message.role, _text(message)) for message in messages]
    if template.is_raw and [role for role, _ in turns] != ["user"]:
        msg = "The chat template 'raw' takes one message of the user's, which is the whole prompt."
        raise ConfigurationError(msg)
    # Not by format(): a text may hold braces.
    written = [template.turns[role].replace("{text}", text) for role, text in turns]
    return template.begins + "".join(written) + template.opening


def _text(message: Message) -> str:
    if message.role == "tool":
        msg = "The wire 'generate' knows no tools, and a message has a tool's result; use api='chat'."
        raise ConfigurationError(msg)
    for part in message.content:
        # A model's thoughts and another provider's blocks are left out, as everywhere.
        if not isinstance(part, (Text, Thinking, Native)):
            msg = f"The wire 'generate' takes text only, and a message has a part of the kind {type(part).__name__}; use api='chat'."
            raise ConfigurationError(msg)
    return message.text
