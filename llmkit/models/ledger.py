"""The ledger: what each try of a call did, for whoever has to understand it afterwards."""

from __future__ import annotations

from typing import Any

from attrs import asdict

from llmkit.values import frozen

__all__ = ["Attempt"]


@frozen(kw_only=True)
class Attempt:
    """
    One try at one endpoint.

    ``key`` is a label (position in the pool and a fingerprint), never a part of the key. ``error`` is the kind of failure, None for
    a success; ``wait`` the seconds waited before this try and ``why`` the reason; ``at`` the Unix time it began. ``connect`` (None
    on a kept connection), ``first_byte`` and ``elapsed`` are seconds from its beginning.
    """

    number: int
    provider: str
    model: str
    endpoint: str
    key: str | None = None
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    wait: float = 0.0
    why: str | None = None
    at: float = 0.0
    connect: float | None = None
    first_byte: float | None = None
    elapsed: float = 0.0

    def brief(self) -> str:
        """Return the try in a few words: ``503 server after 0.21 s (key 1)``."""
        result = " ".join(str(part) for part in (self.status, self.error or "ok") if part is not None)
        key = f" ({self.key})" if self.key else ""
        waited = f"waited {self.wait:.2f} s, " if self.wait >= 0.005 else ""
        return f"{waited}{result} after {self.elapsed:.2f} s{key}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
