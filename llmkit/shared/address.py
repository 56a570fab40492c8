"""Where the processes of a program keep what they know in common, and what holds while that place is lost."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from attrs import Attribute, field, frozen

from llmkit.errors import ConfigurationError
from llmkit.resilience.checks import number, whole

__all__ = ["Shared", "shared_of"]

SCHEMES = ("redis", "rediss", "unix")
_LONGEST_TIMEOUT = 5.0  # seconds: whoever decides waits for it, and a call has better things to wait for


def _url(instance: Shared, attribute: Attribute[Any], value: Any) -> None:
    form = "redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket"
    # None of these texts shows the address: it may hold a password.
    if not isinstance(value, str):
        msg = f"shared is the address of a Redis, such as {form}, not {type(value).__name__}."
        raise ConfigurationError(msg)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or not (parts.path if parts.scheme == "unix" else parts.hostname):
        msg = f"shared is the address of a Redis, such as {form}; what was given is none."
        raise ConfigurationError(msg)


def _on_loss(instance: Shared, attribute: Attribute[Any], value: Any) -> None:
    if value not in ("local", "fail"):
        msg = f"on_loss is 'local' or 'fail', not {value!r}."
        raise ConfigurationError(msg)


def _namespace(instance: Shared, attribute: Attribute[Any], value: Any) -> None:
    # Braces have a meaning of their own in the names of a Redis Cluster.
    if not isinstance(value, str) or not value or not value.isprintable() or set(value) & set("{} "):
        msg = f"namespace is a name without spaces and braces, not {value!r}."
        raise ConfigurationError(msg)


@frozen(repr=False)
class Shared:
    """
    A Redis that processes share, on one host or many.

    ``on_loss`` says what holds while it cannot be reached: ``local``, each process goes on with its own share of every limit; or
    ``fail``, calls are refused. Clients share what has the same ``namespace``. ``timeout`` is in seconds, to connect and for each
    reply. ``processes`` is how many there are at the least, for the share of one that has not counted them yet.

    Raises:
        ConfigurationError: If a value is wrong; it names the field, and never shows the address, which may hold a password.
    """

    url: str = field(validator=_url)
    on_loss: Literal["local", "fail"] = field(default="local", kw_only=True, validator=_on_loss)
    namespace: str = field(default="llmkit", kw_only=True, validator=_namespace)
    timeout: float = field(default=0.25, kw_only=True)
    processes: int = field(default=1, kw_only=True)

    def __attrs_post_init__(self) -> None:
        number("timeout", self.timeout, above=0.0, most=_LONGEST_TIMEOUT)
        whole("processes", self.processes, least=1)

    @property
    def where(self) -> str:
        """The address without user, password and options, to be shown."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no text may show."""
        parts = urlsplit(self.url)
        told = dict(parse_qsl(parts.query)).get("password")
        found = (parts.password, unquote(parts.password or ""), told)
        return tuple(each for each in found if each)

    def __repr__(self) -> str:
        return f"Shared({self.where!r}, on_loss={self.on_loss!r})"


_OPTIONS: dict[str, Any] = {"on_loss": str, "namespace": str, "timeout": float, "processes": int}


def shared_of(value: object) -> Shared | None:
    """
    Return what a user gave as ``shared=``: the options of a ``Shared`` may stand in the address, as in ``redis://host?on_loss=fail``.

    Raises:
        ConfigurationError: If it is neither an address nor a ``Shared``, or an option is out of range.
    """
    if value is None or isinstance(value, Shared):
        return value
    if not isinstance(value, str):
        return Shared(value)  # type: ignore[arg-type]  # it refuses by name
    try:
        parts = urlsplit(value)
    except ValueError:
        return Shared(value)
    own: dict[str, Any] = {}
    others = []
    for name, given in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            others.append((name, given))
            continue
        try:
            own[name] = _OPTIONS[name](given)
        except ValueError:
            msg = f"{name} in the address of shared must be a number, got {given!r}."
            raise ConfigurationError(msg) from None
    # Not put together from its parts: a socket's address would lose two slashes.
    return Shared("?".join(filter(None, (value.partition("?")[0], urlencode(others)))), **own)
