"""What a provider says when it does not answer: read by a dialect, classed by a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field

from llmkit.errors import LLMKitError
from llmkit.values import frozen

__all__ = ["Fault"]


@frozen(kw_only=True)
class Fault:
    """
    A refusal or failure in the provider's own words.

    ``status`` is the HTTP status, 200 for an error inside a good reply or stream. ``headers`` have lower-case names. ``error`` is the
    decoded error object (empty where the body was no JSON), ``body`` the text it came in. ``kind`` is set by a dialect that knows
    better than the general rules what this is. ``raised`` is an error of our own that already says all this, from a provider in Python.
    """

    status: int
    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    request_id: str | None = None
    kind: str | None = None
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    error: Mapping[str, Any] = field(factory=dict, repr=False)
    body: str = field(default="", repr=False)
    raised: LLMKitError | None = field(default=None, repr=False)
