"""
The one cattrs converter: our own models as plain JSON-able values and back.

Every part carries its ``type``. A type that this version does not know (a record written by a later one) becomes a ``Native`` part of
the provider ``"llmkit"`` that holds it whole, and is written again as it was read.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from llmkit.models.content import Audio, Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.response import CompletionResponse

__all__ = ["structure", "unstructure"]

T = TypeVar("T")

TAGS: Mapping[str, type] = {
    "text": Text,
    "image": Image,
    "audio": Audio,
    "document": Document,
    "thinking": Thinking,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "native": Native,
}
_NAMES = {cls: tag for tag, cls in TAGS.items()}
UNKNOWN_TO_US = "llmkit"


def unstructure(value: Any) -> Any:
    """Return *value*, one of our models, as dicts, lists, strings and numbers."""
    return _converter().unstructure(value)


def structure(data: Any, cls: type[T]) -> T:
    """
    Return the *cls* that ``unstructure`` made *data* of.

    Raises:
        cattrs.ClassValidationError: If *data* is of another shape; it names the path.
    """
    return _converter().structure(data, cls)


@cache
def _converter() -> Converter:
    converter = Converter(omit_if_default=True)
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(str(value)))
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode("ascii"))
    converter.register_structure_hook(bytes, lambda value, _: base64.b64decode(value))
    writers: dict[type, Any] = {cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True) for cls in TAGS.values()}

    def write_part(part: Any) -> dict[str, Any]:
        if isinstance(part, Native) and part.provider == UNKNOWN_TO_US:
            return dict(part.data)
        return {"type": _NAMES[type(part)], **writers[type(part)](part)}

    def read_part(data: Any, _: Any) -> Any:
        cls = TAGS.get(data.get("type", ""))
        if cls is None:
            return Native(UNKNOWN_TO_US, dict(data))
        return readers[cls]({key: value for key, value in data.items() if key != "type"}, cls)

    for cls in TAGS.values():
        converter.register_unstructure_hook(cls, write_part)
    converter.register_structure_hook_func(lambda hint: hint == Part or hint == "Part", read_part)
    readers: dict[type, Any] = {cls: make_dict_structure_fn(cls, converter) for cls in TAGS.values()}
    for cls in (Message, CompletionResponse):
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter))
    # What ``parsed`` holds is the user's own type, whose rules are not ours.
    converter.register_unstructure_hook(
        CompletionResponse,
        make_dict_unstructure_fn(CompletionResponse, converter, _cattrs_omit_if_default=True, parsed=override(omit=True)),
    )
    return converter
