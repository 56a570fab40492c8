"""What may be given as ``cache=``, and the cache that it stands for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.cache.base import ResponseCache
    from llmkit.shared.address import Shared

__all__ = ["holds_password", "open_cache"]

REDIS = ("redis://", "rediss://", "unix://")


def open_cache(given: Any, shared: Shared | None = None) -> ResponseCache | None:
    """
    Return the cache that *given* names: a Redis's url, a file's path, or a cache; None and False for none.

    True is one in memory, or in the Redis that the client shares with others.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if given is None or given is False:
        return None
    from llmkit.cache.base import ResponseCache

    if isinstance(given, ResponseCache):
        return given
    if given is True and shared is not None:
        from llmkit.cache.redis import RedisCache

        return RedisCache(shared.url, prefix=f"{shared.namespace}:cache:", timeout=shared.timeout)
    if given is True:
        from llmkit.cache.memory import LLMCache

        return LLMCache()
    if isinstance(given, (str, os.PathLike)):
        if isinstance(given, str) and given.startswith(REDIS):
            from llmkit.cache.redis import RedisCache

            return RedisCache(given)
        if isinstance(given, str) and "://" in given:
            msg = f"cache= knows no {given.partition(':')[0]!r} address; it is a file's path or begins with {', '.join(REDIS)}."
            raise ConfigurationError(msg)
        from llmkit.cache.sqlite import SqliteCache

        return SqliteCache(given)
    msg = f"cache= is True, a file's path, a redis:// address or a cache such as LLMCache(), not {type(given).__name__}."
    raise ConfigurationError(msg)


def holds_password(given: Any) -> bool:
    """Whether *given* is an address with a password in it, as a part of it or a parameter."""
    if not isinstance(given, str) or "://" not in given:
        return False
    parts = urlsplit(given)
    return parts.password is not None or "password=" in parts.query
