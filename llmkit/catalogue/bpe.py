"""
OpenAI's own tokenizers, where they are at hand: in the package tiktoken, with its file in its cache.

Rule: nothing is ever fetched. The package does when the file is not there or is not what it should be, so both are looked at first.

Source: tiktoken 0.14, ``load.py`` and ``tiktoken_ext/openai_public.py``, read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from llmkit.catalogue.tokenizers import family_of
from llmkit.catalogue.tokens import Count

__all__ = ["tokenizer_at_hand"]

# Whose models have these tokenizers, and not only similar ones.
_OWN = re.compile(r"(?:ft:)?(?:chatgpt-|gpt-|o[134](?:-|$)|text-embedding-(?:3|ada)|codex-)")

# Family: the encoding's name, and the digest of its file.
ENCODINGS: dict[str, tuple[str, str]] = {
    "o200k": ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "cl100k": ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
}
ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"


def tokenizer_at_hand(model: str) -> tuple[str, Count] | None:
    """Return the name of *model*'s tokenizer and what counts with it; None where it is not OpenAI's, or not at hand."""
    if _OWN.match(model.lower().rpartition("/")[2]) is None:
        return None
    name, digest = ENCODINGS[family_of(model)]
    file = _cached_file(name)
    return None if file is None else _loaded(name, digest, str(file))


def _cached_file(name: str) -> Path | None:
    """Return where the package would keep the file of the encoding *name*; None where it keeps none."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", str(Path(tempfile.gettempdir(), "data-gym-cache"))))
    if not folder:
        return None
    return Path(folder, hashlib.sha1(ADDRESS.format(name=name).encode(), usedforsecurity=False).hexdigest())


@lru_cache(maxsize=8)
def _loaded(name: str, digest: str, file: str) -> tuple[str, Count] | None:
    # Once in a process: what is not at hand at first is not looked for again with every request.
    if find_spec("tiktoken") is None or not _is_whole(file, digest):
        return None
    import tiktoken

    encoding = tiktoken.get_encoding(name)

    def count(text: str) -> int:
        return len(encoding.encode_ordinary(text))

    return f"tiktoken {name}", count


def _is_whole(file: str, digest: str) -> bool:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() == digest
    except OSError:
        return False
