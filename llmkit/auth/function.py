"""A credential that a function of the user's gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmkit.errors import ConfigurationError
from llmkit.secrets import Headers, Secret
from llmkit.transport.base import HttpRequest
from llmkit.values import frozen

__all__ = ["CallableAuth"]


@frozen
class CallableAuth:
    """Headers from a function of the user's, called for each attempt."""

    function: Callable[[], Mapping[str, str]]
    needs_key: bool = False

    def headers(self, request: HttpRequest, key: Secret | None) -> Mapping[str, str]:
        found: Any = self.function()
        if not isinstance(found, Mapping) or not all(isinstance(item, str) for pair in found.items() for item in pair):
            msg = f"The callable given as auth= returns a dict of header names and values, not {type(found).__name__}."
            raise ConfigurationError(msg)
        for name, value in found.items():
            if not Secret(name).is_fit() or not value.isascii() or not value.replace("\t", " ").isprintable():
                msg = "The callable given as auth= returned a header with a line break, a control character or one that is not ASCII."
                raise ConfigurationError(msg)
        return Headers(found)
