"""
Keeping secrets out of sight: nothing here prints, logs or pickles one.

A key lives in a ``Secret``; a header that carries one lives in ``Headers``. Texts that come from outside (a provider that quotes the
key it refuses, a proxy's page) pass through ``clean`` before they are stored in an error.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["Headers", "Hidden", "Referenced", "Secret", "clean", "fingerprint", "masked"]

MASK = "***"
TEXT_LIMIT = 4096  # characters of a foreign text that an error keeps

# Names of headers whose values are shown by ``repr``; all others are taken for credentials. A list of what is harmless cannot miss
# the header that a provider invents tomorrow.
_HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "content-type", "content-length", "user-agent", "host", "x-amz-date"),
        *("anthropic-version", "anthropic-beta"),
    }
)

# C0 and C1 controls and DEL, except tab and line feed, the marks that turn the direction of writing, and what some take for the end of a
# line: a foreign text must not drive the reader's terminal, nor look like another.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"


class Secret:
    """A string that does not show itself: ``reveal()`` gives it, everything else a mask. It refuses to be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def is_fit(self) -> bool:
        """Whether it can stand in a header: visible ASCII only, and at least one character of it."""
        # Anything else would break out of its header line, or be quoted by the library that refuses it.
        value = self._value
        return bool(value) and value.isascii() and value.isprintable() and " " not in value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> tuple[object, ...]:
        msg = "A secret is not pickled. Name the environment variable that holds it, or ask for pickle_keys=True."
        raise TypeError(msg)


class Hidden(str):
    """A text for whoever uses it, a mask for whoever prints it by ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"


class Referenced(Hidden):
    """
    A text that is kept elsewhere: it is that text, and pickles as where it was found.

    ``reference`` says where, as it was written, and ``base`` from which directory; ``source`` is the name of the variable, or the path of
    the file.
    """

    reference: str
    base: str
    source: str

    def __repr__(self) -> str:
        return f"<{self.reference}>"

    def __reduce__(self) -> tuple[object, ...]:
        from llmkit.config.references import referenced

        return referenced, (self.reference, self.base)


class Headers(dict[str, str]):
    """HTTP headers whose ``repr`` shows the values of harmless names only: frames and tracebacks print it."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = {name: value if name.lower() in _HARMLESS else MASK for name, value in self.items()}
        return f"Headers({shown})"

    __str__ = __repr__

    def credentials(self) -> frozenset[str]:
        """Return what may be a credential in them: the last words of those that are not known to be harmless."""
        return frozenset(value.rpartition(" ")[2] for name, value in self.items() if name.lower() not in _HARMLESS)

    def copy(self) -> Headers:
        return Headers(self)


def fingerprint(value: str) -> str:
    """Return eight hex digits that tell one key from another and say nothing of either."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def clean(text: str, secrets: Iterable[str] = (), *, limit: int = TEXT_LIMIT) -> str:
    """Return *text* fit to be stored in an error: no secret, as ``masked`` finds it, no control character, at most *limit* characters."""
    text = masked(text, secrets)
    text = re.sub(_CONTROL, _written_out, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def masked(text: str, secrets: Iterable[str]) -> str:
    """
    Return *text* with a mask for each secret.

    One is found as it is, percent-encoded, as JSON escapes it, and in base64 (also behind a user name, as Basic authentication has
    it).
    """
    forms = {form for secret in secrets for form in _disguises(secret)}
    # The longest first: a secret may be the beginning of another, whose rest would be left.
    for form in sorted(forms, key=len, reverse=True):
        if form in text:
            text = text.replace(form, MASK)
    return text


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _disguises(secret: str) -> Iterable[str]:
    # Shorter strings would also be found inside harmless words.
    if len(secret) < 4:
        return
    yield secret
    if not secret.isalnum():
        for safe in ("", "/"):
            quoted = quote(secret, safe=safe, errors="surrogatepass")
            yield quoted
            yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
        escaped = json.dumps(secret)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
    raw = secret.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # In base64 a run of bytes looks different at each of three offsets; its inner part is the same whatever stands around it.
        for offset in range(3):
            inner = encode(b"\0" * offset + raw)[4 if offset else 0 : None].rstrip(b"=")[:-1]
            if len(inner) >= 8:
                yield inner.decode("ascii")
