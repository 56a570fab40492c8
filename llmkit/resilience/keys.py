"""
A pool of API keys: the least loaded first, and none that its provider has just refused.

Rule 1: picking a key and counting its lease are one step under one lock; a lease is given back exactly once, to its own key.
Rule 2: among usable keys the one with the fewest leases is taken, then the one used longest ago, then the first.
Rule 3: a refused key rests: for as long as the provider said, else longer at each refusal in a row. A rest is never shortened.
Rule 4: a key that was refused for good (its secret, its account) is tried again after a while, by one lease at a time; success brings
        it back. A key that may not use one model is left out for that model.
Rule 5: keys are named by their labels, place and fingerprint; no text, ``repr`` or error here holds a part of one.
Rule 6: what is known of a key is shared by all pools of one ``provider_id`` in this process as long as one of them lives; pools
        without one share nothing. Such pools should have the same clock.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from llmkit.errors import ConfigurationError, NoAvailableKeyError
from llmkit.resilience.keystate import KeyState, Queue, Seat, group_of
from llmkit.secrets import Secret, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

__all__ = ["APIKeyPool", "Lease"]

FIRST_REST = 5.0  # seconds, when the provider does not say; doubled by each refusal in a row
LONGEST_REST = 60.0  # seconds, of such a rest
AUTH_REST = 300.0  # seconds until a refused secret is tried again: keys get activated, and permissions granted
QUOTA_REST = 3600.0  # seconds until an empty account is tried again

MODELS_REMEMBERED = 64  # per key, of those it may not use: names come from callers and could be any number
REASONS_SHOWN = 100  # in an error; a pool may have thousands of keys


class Lease:
    """
    The use of one key for one call. Give it back in a ``finally``; ``release`` may be called more than once.

    What became of the call is told to it before or after that: ``good``, ``cool``, ``eject``, ``forbid``, or nothing.
    """

    __slots__ = ("_key", "_pool", "_process", "_released", "_taken", "label")

    def __init__(self, pool: APIKeyPool, seat: Seat, taken: int, process: int) -> None:
        self.label = seat.label
        self._pool = pool
        self._key = seat.key
        self._taken = taken
        self._process = process
        self._released = False

    @property
    def key(self) -> Secret:
        return self._key.secret

    def release(self) -> None:
        """Give the key back."""
        if not self._released:
            self._pool._release(self)

    def good(self, model: str | None = None) -> None:
        """The provider took the key (for *model*): refusals before this lease are forgotten."""
        key = self._key
        # The healthy key's path, without the lock.
        if key.refusals or key.out is not None or model in key.denied:
            self._pool._good(self, model)

    def cool(self, hint: float | None = None) -> None:
        """The provider wants no requests with this key for *hint* seconds; None, zero and nonsense let the pool choose."""
        self._pool._cool(self, hint)

    def eject(self, reason: Literal["auth", "quota"], until: float | None = None) -> None:
        """The provider refused the key (auth) or its account (quota), until the moment *until* on the pool's clock if it said so."""
        self._pool._eject(self, reason, until)

    def forbid(self, model: str) -> None:
        """The key may not use *model*."""
        self._pool._forbid(self, model)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"Lease({self.label!r})"


class APIKeyPool:
    """
    Keys of one provider, given out least loaded first. Safe to share between threads and tasks; it never waits.

    ``provider_id`` names the provider whose pools share what they know (rule 6); ``names`` are used in labels in place of the keys'
    positions. The pool is not pickled, since it holds secrets, unless it was made with ``pickle_keys=True``.

    Raises:
        ConfigurationError: If there is no key, or one is no text, is given twice, or holds white space, control or non-ASCII
            characters. It names the key by its name or position, never the key itself.
    """

    def __init__(
        self,
        api_keys: Iterable[str | Secret],
        *,
        provider_id: str | None = None,
        names: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        pickle_keys: bool = False,
    ) -> None:
        secrets = _checked(api_keys, names)
        labels = _labels(secrets, names)
        self.provider_id = provider_id
        self._names = None if names is None else tuple(names)
        self._pickle_keys = pickle_keys
        self._clock = clock
        self._group = group_of(provider_id)
        self._queue = Queue()
        with self._group.lock:
            self._queue.fill([self._seat(secret, order, label) for order, (secret, label) in enumerate(zip(secrets, labels, strict=True))])
        self._by_secret = {seat.key.secret: seat for seat in self._queue.seats}

    def get_least_loaded_key(self) -> str:
        """
        Return the key that ``acquire`` would take now; counts nothing.

        Raises:
            NoAvailableKeyError: If every key rests.
        """
        now = self._clock()
        with self._group.lock:
            seat = self._queue.pick(None, frozenset(), now)
            if seat is None:
                raise self._none_left(None, frozenset(), now)
            self._queue.put(seat)
            return seat.key.secret.reveal()

    def increment_task_count(self, key: str) -> None:
        """
        Count one more task that uses *key*.

        Raises:
            ConfigurationError: If the pool does not hold it.
        """
        seat = self._find(key)
        with self._group.lock:
            self._take(seat.key)

    def decrement_task_count(self, key: str) -> None:
        """
        Count one task less that uses *key*; there are never less than none.

        Raises:
            ConfigurationError: If the pool does not hold it.
        """
        seat = self._find(key)
        with self._group.lock:
            self._give_back(seat.key)

    @contextmanager
    def lease(self, model: str | None = None) -> Iterator[str]:
        """
        Lend the least loaded key for the length of a ``with`` block.

        Raises:
            NoAvailableKeyError: If every key rests.
        """
        with self.acquire(model) as lease:
            yield lease.key.reveal()

    def acquire(self, model: str | None = None, exclude: AbstractSet[str] = frozenset(), now: float | None = None) -> Lease:
        """
        Return a lease of the least loaded key.

        Args:
            model: What it is for: keys that may not use it are left out.
            exclude: Labels of keys that this call will not ask again.
            now: On the pool's clock, if it was read already.

        Raises:
            NoAvailableKeyError: With the reason for each label, and the seconds until the first of them comes back.
        """
        if now is None:
            now = self._clock()
        group = self._group
        with group.lock:
            seat = self._queue.pick(model, exclude, now)
            if seat is None:
                raise self._none_left(model, exclude, now)
            key = seat.key
            if model is not None and model in key.denied:
                key.denied[model] = now + AUTH_REST  # this lease is the one that tries
            lease = Lease(self, seat, group.taken + 1, group.process)
            if key.out is not None:
                key.trial = lease
                key.wake = math.inf
            self._take(key)
            return lease

    def next_label(self, model: str | None = None, exclude: AbstractSet[str] = frozenset()) -> str | None:
        """Return the label of the key that ``acquire`` would take now, None where every key rests; counts nothing."""
        now = self._clock()
        with self._group.lock:
            seat = self._queue.pick(model, exclude, now)
            if seat is None:
                return None
            self._queue.put(seat)
            return seat.label

    def secrets(self) -> tuple[str, ...]:
        """Return the keys themselves, for masking them in texts that come from outside."""
        return tuple([seat.key.secret.reveal() for seat in self._queue.seats])

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the state of each key by its label, in order."""
        now = self._clock()
        with self._group.lock:
            return [
                {
                    "label": seat.label,
                    "state": seat.key.condition(now),
                    "reason": seat.key.out,
                    "leases": seat.key.leases,
                    "refusals": seat.key.refusals,
                    "retry_after": None if seat.key.trial is not None else max(0.0, seat.key.wake - now),
                    "denied_models": sorted(model for model, until in seat.key.denied.items() if until > now),
                }
                for seat in self._queue.seats
            ]

    def __len__(self) -> int:
        return len(self._queue.seats)

    def __repr__(self) -> str:
        shared = f", provider_id={self.provider_id!r}" if self.provider_id is not None else ""
        return f"APIKeyPool({len(self)} key{'s' if len(self) != 1 else ''}{shared})"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._pickle_keys:
            msg = "A pool of keys is not pickled: name the environment variables that hold them, or make it with pickle_keys=True."
            raise TypeError(msg)
        return _restored, (tuple(seat.key.secret.reveal() for seat in self._queue.seats), self.provider_id, self._names)

    # What follows needs the group's lock, except where it takes it.

    def _seat(self, secret: Secret, order: int, label: str) -> Seat:
        digest = hashlib.sha256(secret.reveal().encode()).digest()
        key = self._group.keys.get(digest)
        if key is None:
            key = self._group.keys[digest] = KeyState(secret)
        return Seat(self._queue, key, order, label)

    def _find(self, key: str) -> Seat:
        seat = self._by_secret.get(Secret(key))
        if seat is None:
            msg = "The pool does not hold this key."
            raise ConfigurationError(msg)
        return seat

    def _take(self, key: KeyState) -> None:
        self._group.taken += 1
        key.leases += 1
        key.used = self._group.taken
        key.announce()

    def _give_back(self, key: KeyState) -> None:
        if key.leases:
            key.leases -= 1
            key.announce()

    def _release(self, lease: Lease) -> None:
        with self._group.lock:
            # Asked again under the lock, since two threads may give back the same lease.
            if lease._released:
                return
            lease._released = True
            if lease._process != self._group.process:
                return
            key = lease._key
            self._give_back(key)
            if key.trial is lease:
                key.trial = None
                key.rest()

    def _good(self, lease: Lease, model: str | None) -> None:
        with self._group.lock:
            key = lease._key
            if lease._taken > key.cooled:
                key.refusals = 0
            if model is not None:
                key.denied.pop(model, None)
            # A lease given after the key was put out is a trial; an older one proves nothing.
            if key.out is not None and lease._taken > key.ejected:
                key.out = None
                key.trial = None
                key.rest()

    def _cool(self, lease: Lease, hint: float | None) -> None:
        with self._group.lock:
            key = lease._key
            # Leases that were out together are refused together: that is one refusal, not many in a row.
            if lease._taken > key.cooled:
                key.refusals += 1
                key.cooled = self._group.taken
            if hint is None or not 0 < hint < math.inf:
                hint = min(LONGEST_REST, FIRST_REST * 2.0 ** min(max(key.refusals - 1, 0), 10))
            key.cool_until = max(key.cool_until, self._clock() + hint)
            key.rest()

    def _eject(self, lease: Lease, reason: Literal["auth", "quota"], until: float | None) -> None:
        with self._group.lock:
            key = lease._key
            if until is None:
                until = self._clock() + (AUTH_REST if reason == "auth" else QUOTA_REST)
            key.out = reason
            key.out_until = max(key.out_until, until)
            key.ejected = self._group.taken
            if key.trial is lease:
                key.trial = None
            key.rest()

    def _forbid(self, lease: Lease, model: str) -> None:
        with self._group.lock:
            denied = lease._key.denied
            denied.pop(model, None)
            if len(denied) >= MODELS_REMEMBERED:
                del denied[next(iter(denied))]
            denied[model] = self._clock() + AUTH_REST

    def _none_left(self, model: str | None, exclude: AbstractSet[str], now: float) -> NoAvailableKeyError:
        reasons: dict[str, str] = {}
        earliest = math.inf
        for seat in self._queue.seats:
            excluded = seat.label in exclude
            if not excluded:
                earliest = min(earliest, seat.key.wait(model, now))
            if len(reasons) < REASONS_SHOWN:
                reasons[seat.label] = "was refused in this call" if excluded else seat.key.excuse(model, now)
        shown = "; ".join(f"{label} {reason}" for label, reason in list(reasons.items())[:3])
        rest = len(self._queue.seats) - min(3, len(reasons))
        msg = f"No API key can be used now: {shown}{f'; and {rest} more' if rest else ''}."
        return NoAvailableKeyError(msg, reasons, retry_after=None if earliest == math.inf else earliest)


def _checked(api_keys: object, names: Sequence[str] | None) -> list[Secret]:
    """Return the keys as secrets. No error here has a key in its text, or in the frames it shows as locals' values."""
    if isinstance(api_keys, (str, bytes, Secret)) or not isinstance(api_keys, Iterable):
        msg = "api_keys must be a list of keys; give a single one as api_key."
        raise ConfigurationError(msg)
    secrets: list[Secret] = []
    seen: dict[Secret, int] = {}
    for place, given in enumerate(api_keys, start=1):
        if not isinstance(given, (str, Secret)):
            msg = f"API key {place} must be a text, not {type(given).__name__}."
            raise ConfigurationError(msg)
        secret = given if isinstance(given, Secret) else Secret(given)
        if not secret.is_fit():
            # By the variable or file that it came from, where it has one: that is where it has to be mended.
            name = names[place - 1] if names is not None and place <= len(names) else f"API key {place}"
            msg = f"{name} is empty or holds white space, control or non-ASCII characters."
            raise ConfigurationError(msg)
        if secret in seen:
            msg = f"API key {place} is the same as API key {seen[secret]}."
            raise ConfigurationError(msg)
        seen[secret] = place
        secrets.append(secret)
    if not secrets:
        msg = "api_keys holds no key."
        raise ConfigurationError(msg)
    return secrets


def _labels(secrets: Sequence[Secret], names: Sequence[str] | None) -> list[str]:
    if names is None:
        names = [f"key {place}" for place in range(1, len(secrets) + 1)]
    if len(names) != len(secrets) or len(set(names)) != len(names) or not all(names):
        msg = f"names must be {len(secrets)} different names, one for each key."
        raise ConfigurationError(msg)
    return [f"{name} ({fingerprint(secret.reveal())})" for name, secret in zip(names, secrets, strict=True)]


def _restored(api_keys: tuple[str, ...], provider_id: str | None, names: tuple[str, ...] | None) -> APIKeyPool:
    return APIKeyPool(api_keys, provider_id=provider_id, names=names, pickle_keys=True)
