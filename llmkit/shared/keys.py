"""
A pool of keys whose rests many processes share.

Rule 1: it is the pool of this process, with its leases and its order; what is shared is which keys rest, are put out or may not use a
        model, and until when. Before each call it takes over what Redis says.
Rule 2: in Redis a key is a digest of the secret and the namespace, which says nothing of it to those who do not have it.
Rule 3: a key that was put out is tried again by one call of all processes.
Rule 4: where Redis is lost, each process goes on from what it knew last; what it has learned meanwhile stays with it.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from typing import TYPE_CHECKING, Any, Literal

from llmkit.resilience.keys import AUTH_REST, APIKeyPool, Lease
from llmkit.shared.scripts import BRING_BACK, REST, TRY_KEY
from llmkit.shared.store import Lost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from llmkit.resilience.keystate import KeyState
    from llmkit.shared.store import Store

__all__ = ["SharedPool"]

TRIAL = 90.0  # seconds after which another may try a key, if nothing was heard of the one who did
COOL, AUTH, QUOTA, DENIED = "cool", "auth", "quota", "denied"  # what a moment is for, in front of the key's digest


class SharedPool(APIKeyPool):
    """The keys of *pool*, with rests that are common to all who give the same *name* and *store*. Only ``acquire`` may block."""

    def __init__(self, pool: APIKeyPool, *, store: Store, name: str) -> None:
        # It is the same pool, with the same state: its users who share nothing see what was learned, too.
        self.__dict__.update(pool.__dict__)
        self._store = store
        self.name = name
        self.version = ""
        salt = f"llmkit {store.shared.namespace}".encode()
        self._digests: dict[KeyState, str] = {}
        self._by_digest: dict[str, KeyState] = {}
        self._out: set[KeyState] = set()  # put out, as Redis told last
        for seat in self._queue.seats:
            digest = hmac.new(salt, seat.key.secret.reveal().encode(), hashlib.sha256).hexdigest()[:24]
            self._digests[seat.key] = digest
            self._by_digest[digest] = seat.key

    def take_over(self, version: str, told: Sequence[Any]) -> None:
        """Take over what Redis told: its version, and what each moment is for, with the seconds until it; nothing, if it knows nothing."""
        if not version or version == self.version:
            return
        self.version = version
        out: set[KeyState] = set()
        now = self._clock()
        with self._group.lock:
            for what, seconds in zip(told[::2], told[1::2], strict=True):
                reason, digest, *model = what.decode().split(" ", 2)
                key = self._by_digest.get(digest)
                if key is None:
                    continue
                until = now + float(seconds)
                if reason == COOL:
                    key.cool_until = max(key.cool_until, until)
                elif reason == DENIED:
                    key.denied[model[0]] = until
                elif key.trial is None:
                    out.add(key)
                    if key.out is None:
                        key.ejected = self._group.taken
                    key.out = "auth" if reason == AUTH else "quota"
                    key.out_until = until
                key.rest()
            for key in self._out - out:
                if key.trial is None:
                    key.out = None  # another process has found that it works again
                    key.rest()
            self._out = out

    def acquire(self, model: str | None = None, exclude: AbstractSet[str] = frozenset(), now: float | None = None) -> Lease:
        """As ``APIKeyPool.acquire``. Blocks, where it has to be asked whether a key that was put out may be tried again."""
        while True:
            lease = super().acquire(model, exclude, now)
            key = lease._key
            if key.trial is not lease:
                return lease
            try:
                wait = float(self._store.decide(TRY_KEY, [self.name], [self._what(key.out or AUTH, key), TRIAL]))
            except Lost:
                return lease
            except BaseException:
                super()._release(lease)
                raise
            if wait <= 0.0:
                return lease
            with self._group.lock:
                key.out_until = self._clock() + wait
            super()._release(lease)

    def _release(self, lease: Lease) -> None:
        key = lease._key
        unproved = key.trial is lease and not lease._released
        super()._release(lease)
        if unproved:
            # The trial came to nothing: another may try at once.
            self._store.note(REST, [self.name], [self._what(key.out or AUTH, key), 0, 1])

    def _good(self, lease: Lease, model: str | None) -> None:
        key = lease._key
        was_denied, was_out = model is not None and model in key.denied, key.out
        super()._good(lease, model)
        over = [self._what(was_out, key)] if was_out is not None and key.out is None else []
        if was_denied and model is not None:
            over.append(self._what(DENIED, key, model))
        if over:
            self._store.note(BRING_BACK, [self.name], over)

    def _cool(self, lease: Lease, hint: float | None) -> None:
        super()._cool(lease, hint)
        self._rest(COOL, lease._key, lease._key.cool_until)

    def _eject(self, lease: Lease, reason: Literal["auth", "quota"], until: float | None) -> None:
        super()._eject(lease, reason, until)
        self._rest(reason, lease._key, lease._key.out_until)

    def _forbid(self, lease: Lease, model: str) -> None:
        super()._forbid(lease, model)
        self._rest(DENIED, lease._key, self._clock() + AUTH_REST, model)

    def _rest(self, reason: str, key: KeyState, until: float, model: str = "") -> None:
        seconds = until - self._clock()
        if 0 < seconds < math.inf:
            self._store.note(REST, [self.name], [self._what(reason, key, model), seconds, 0])

    def _what(self, reason: str, key: KeyState, model: str = "") -> str:
        return f"{reason} {self._digests[key]} {model}".rstrip()
