"""A token endpoint on loopback, for those who fetch tokens."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import frozen


@frozen
class Asked:
    """What an endpoint was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    form: dict[str, str]


class Issuer:
    """A server whose tokens have numbers; what it says else is the test's: a status and a body, or a function of what was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.script: list[tuple[int, dict[str, str], Any]] = []
        self.others: dict[str, Any] = {}  # what other paths say
        self.seen: Callable[[str], None] = lambda body: None  # is told what comes, where that is no form
        self.answer: Callable[[int], dict[str, Any]] = lambda number: {"access_token": f"canary-token-{number}", "expires_in": 3600}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                body = (gzip.decompress(data) if self.headers.get("content-encoding") == "gzip" else data).decode()
                issuer.seen(body)
                parts = urlsplit(self.path)
                other = next((said for path, said in issuer.others.items() if parts.path.endswith(path)), None)
                if other is not None:
                    self._say(200, {}, other)
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, parts.path, _flat(parts.query), headers, _flat(body))
                issuer.asked.append(asked)
                if issuer.script:
                    self._say(*issuer.script.pop(0))
                else:
                    self._say(200, {}, issuer.answer(len(issuer.asked)))

            def _say(self, status: int, headers: dict[str, str], data: Any) -> None:
                body = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://localhost:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def _flat(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A token endpoint."""
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def tls_issuer(tmp_path: Any) -> Iterator[Issuer]:
    """A token endpoint over TLS, and where its authority's certificate is: ``authorities``."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    made = Issuer(context)
    path = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(path)
    made.authorities = str(path)  # type: ignore[attr-defined]
    yield made
    made.close()
