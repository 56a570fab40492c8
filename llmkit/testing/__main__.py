"""``python -m llmkit.testing``: a fake provider in the foreground, for benchmarks and for other languages."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from llmkit.testing.replies import Reply
from llmkit.testing.server import RECORD_PATH, FakeServer

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input ends or SIGTERM comes; return the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    _allow_many_connections()
    with FakeServer(port=options.port, record=not options.no_record) as server:
        server.always(Reply(pieces=options.events) if options.events else None)
        print(server.origin, flush=True)
        try:
            while sys.stdin.buffer.read(1 << 16):
                pass
        except KeyboardInterrupt:
            return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llmkit.testing",
        description="Play every provider on a loopback port. The first line printed is the origin; a provider's base "
        "URL is ORIGIN/PROVIDER/v1. It ends with its standard input.",
    )
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; by default a free one")
    parser.add_argument("--events", type=int, default=0, metavar="N", help="text events of an answer; by default its words")
    parser.add_argument("--no-record", action="store_true", help=f"keep no requests; otherwise GET {RECORD_PATH} shows them")
    return parser


def _allow_many_connections() -> None:
    """Raise the limit on open files as far as this process may."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
