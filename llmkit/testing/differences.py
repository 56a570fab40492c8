"""In what one request of a cassette differs from another, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["shown", "unlike"]


def unlike(recorded: Any, asked: Any, path: str) -> Iterator[str]:
    """Yield the differences between two JSON values at *path*."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for name in {**recorded, **asked}:
            if name not in asked:
                yield f"{path}.{name} is {shown(recorded[name])}, and now missing"
            elif name not in recorded:
                yield f"{path}.{name} is missing, and now {shown(asked[name])}"
            else:
                yield from unlike(recorded[name], asked[name], f"{path}.{name}")
    elif isinstance(recorded, list) and isinstance(asked, list) and len(recorded) == len(asked):
        for place, (one, other) in enumerate(zip(recorded, asked, strict=True)):
            yield from unlike(one, other, f"{path}[{place}]")
    elif json.dumps(recorded, sort_keys=True) != json.dumps(asked, sort_keys=True):
        if isinstance(recorded, list) and isinstance(asked, list):
            yield f"{path} has {len(recorded)} items, not {len(asked)}"
        else:
            yield f"{path} is {shown(recorded)}, not {shown(asked)}"


def shown(value: Any) -> str:
    """Return *value* as JSON, not too long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
