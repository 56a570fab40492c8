"""The twin of ``llmkit.functions``: functions that are ``async def``, answered by an ``AsyncClient``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from llmkit.functions import DEFAULTS, decorate
from llmkit_async.client import AsyncClient

__all__ = ["llm_function"]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def llm_function(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def llm_function(*, client: AsyncClient | None = None, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def llm_function(function: Any = None, /, *, client: Any = None, **options: Any) -> Any:
    """
    Return an ``async def`` that asks a model: its docstring, with the arguments in their ``{places}``, is the prompt, and its return
    annotation the type of the answer. In all else as ``llmkit.llm_function``.

    Args:
        function: What is decorated.
        client: Who is asked; ``AsyncClient()`` unless said, made when it is first needed, one for all such functions.
        **options: Any of ``complete()``, but for the messages and ``response_format``.

    Raises:
        ConfigurationError: If docstring, parameters and options do not fit each other.
    """
    if function is None:
        return functools.partial(decorate, client=client, options=options, default=_default_client)
    return decorate(function, client=client, options=options, default=_default_client)


def _default_client() -> AsyncClient:
    made: AsyncClient = DEFAULTS.get("async", AsyncClient)
    return made
