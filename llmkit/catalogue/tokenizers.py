"""
What a token is, family by family: how many each kind of character comes to.

A row was fitted to the family's own tokenizer over some 700,000 characters of prose, documentation, source code, JSON and user
interfaces in 25 languages: cl100k_base and o200k_base of OpenAI, the tokenizers of Qwen, Llama 2 to 4, DeepSeek and Mistral, and the
one that Anthropic published for Claude 2; 2026-11-21. Some rows are derived, since those tokenizers are not public:

* ``claude`` is Claude 2's, raised to counts recorded from Claude 3.7 and 4.5 (up to a tenth more in English, a sixth in code).
* ``claude_late`` is for 4.7 and what followed it: words in Latin letters cost a third more, everything else the same ("what's actually
  different about the Opus 4.7 tokenizer", sol.ava.dev, and "Measuring Claude 4.7's tokenizer costs", pithwire.com; both read 2026-11-21).
* ``gemini`` is o200k_base with single digits, which is what Google's own rule of four characters a token comes to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Weights", "weights_of"]


class Weights(NamedTuple):
    """
    Tokens for one of each kind.

    Words are runs of Latin letters, parted where the case changes; ``over8`` and ``over12`` are for each letter of a word beyond so
    many. ``triple`` is for each begun group of three digits, ``digit`` for each digit. ``mark`` is for a run of ASCII punctuation,
    ``further_mark`` for each of it beyond the first; ``line`` for a run of line breaks, ``gap`` for a run of blanks. All others are for
    each character of a script; ``accent`` in addition to the word it stands in, ``wide`` for East Asian punctuation, ``sign`` for
    typographic signs.
    """

    word: float
    over8: float
    over12: float
    capitals: float
    triple: float
    digit: float
    mark: float
    further_mark: float
    line: float
    gap: float
    accent: float
    greek: float
    cyrillic: float
    hebrew: float
    arabic: float
    indic: float
    thai: float
    hangul: float
    kana: float
    han: float
    wide: float
    sign: float
    other: float


# fmt: off
_FAMILIES = (
    "o200k", "cl100k", "claude", "claude_late", "gemini", "llama2", "llama3", "llama4", "qwen", "deepseek", "tekken",
)
_TABLE: dict[str, tuple[float, ...]] = {
    #                 o200k  cl100k  claude  claude  gemini  llama2  llama3  llama4    qwen  deepse  tekken
    "word":         (  1.04,   1.07,   1.06,   1.42,   1.04,   1.06,   1.05,   1.04,   1.04,   1.03,   1.06),
    "over8":        (  0.20,   0.20,   0.17,   0.20,   0.20,   0.18,   0.20,   0.20,   0.20,   0.20,   0.20),
    "over12":       (  0.22,   1.00,   1.00,   1.00,   0.22,   1.00,   0.87,   0.39,   0.49,   0.29,   0.86),
    "capitals":     (  1.26,   1.32,   1.55,   1.80,   1.30,   1.71,   1.32,   1.30,   1.36,   1.64,   1.93),
    "triple":       (  0.79,   1.35,   0.16,   0.16,   0.00,   0.13,   1.21,   1.28,   0.00,   0.34,   0.32),
    "digit":        (  0.28,   0.00,   0.70,   0.70,   1.00,   1.07,   0.06,   0.03,   1.13,   0.51,   1.16),
    "mark":         (  0.64,   0.61,   1.10,   1.10,   0.70,   1.11,   0.62,   0.64,   0.62,   0.80,   0.61),
    "further_mark": (  0.17,   0.14,   0.12,   0.12,   0.17,   0.19,   0.16,   0.15,   0.18,   0.17,   0.26),
    "line":         (  1.38,   0.94,   1.60,   1.60,   1.38,   1.70,   1.24,   1.37,   1.40,   1.38,   1.15),
    "gap":          (  0.04,   0.33,   0.30,   0.30,   0.10,   0.38,   0.05,   0.08,   0.00,   0.00,   0.34),
    "accent":       (  0.37,   1.60,   1.60,   1.60,   0.37,   1.60,   0.53,   0.20,   0.61,   1.06,   0.52),
    "greek":        (  0.45,   1.08,   1.31,   1.31,   0.45,   1.08,   0.47,   0.44,   0.98,   0.53,   0.48),
    "cyrillic":     (  0.32,   0.55,   0.60,   0.60,   0.32,   0.44,   0.35,   0.27,   0.40,   0.37,   0.36),
    "hebrew":       (  0.43,   1.18,   1.05,   1.05,   0.43,   1.09,   1.15,   0.52,   0.41,   0.54,   0.51),
    "arabic":       (  0.35,   0.85,   1.10,   1.10,   0.35,   1.04,   0.39,   0.37,   0.50,   0.40,   0.36),
    "indic":        (  0.41,   1.31,   1.58,   1.58,   0.41,   1.18,   0.74,   0.46,   1.07,   0.57,   0.53),
    "thai":         (  0.38,   0.96,   1.81,   1.81,   0.38,   0.99,   0.46,   0.31,   0.56,   0.39,   0.52),
    "hangul":       (  0.65,   1.10,   1.24,   1.24,   0.60,   1.23,   0.70,   0.55,   0.74,   0.77,   0.68),
    "kana":         (  0.54,   0.85,   0.90,   0.90,   0.50,   0.93,   0.51,   0.38,   0.53,   0.55,   0.49),
    "han":          (  0.69,   1.19,   1.06,   1.06,   0.64,   1.14,   0.76,   0.57,   0.56,   0.51,   0.95),
    "wide":         (  1.10,   1.10,   1.10,   1.10,   1.10,   1.10,   1.10,   1.10,   1.10,   1.10,   1.10),
    "sign":         (  1.44,   0.70,   0.70,   0.70,   1.44,   0.70,   1.35,   0.74,   1.60,   1.30,   0.86),
    "other":        (  3.00,   3.00,   3.00,   3.00,   3.00,   3.00,   3.00,   3.00,   3.00,   3.00,   3.00),
}
# fmt: on

FAMILIES: dict[str, Weights] = {
    family: Weights(**{kind: row[place] for kind, row in _TABLE.items()}) for place, family in enumerate(_FAMILIES)
}

# Whose models have which tokenizer, by how they are named; the first that is found counts. Of others the commonest is assumed.
NAMES: tuple[tuple[str, str], ...] = (
    (r"gpt-3\.?5|gpt-35|gpt-4(?![.o\d])|text-embedding-|davinci-002|babbage-002", "cl100k"),
    (r"claude\D*(?:4[-.][7-9](?!\d)|[5-9](?!\d))", "claude_late"),
    (r"claude", "claude"),
    (r"gemini|gemma|learnlm", "gemini"),
    (r"llama-?4", "llama4"),
    (r"llama-?3", "llama3"),
    (r"llama-?2|codellama|mixtral|mistral-7b|vicuna", "llama2"),
    (r"mistral|ministral|magistral|codestral|devstral|pixtral|voxtral", "tekken"),
    (r"deepseek|kimi|moonshot|hunyuan|ernie|doubao", "deepseek"),
    (r"qwen|qwq|qvq|glm|yi-|internlm|minimax", "qwen"),
)
_NAMES = tuple((re.compile(pattern), family) for pattern, family in NAMES)
UNKNOWN = "o200k"


def family_of(model: str) -> str:
    """Return the family of tokenizers that *model* has, as far as its name tells."""
    name = model.lower().rpartition("/")[2]
    return next((family for pattern, family in _NAMES if pattern.search(name)), UNKNOWN)


@lru_cache(maxsize=512)
def weights_of(model: str) -> Weights:
    """Return the weights for *model*; of an unknown one, those of the commonest family."""
    return FAMILIES[family_of(model)]
