"""A Qdrant server on loopback: real HTTP, with Qdrant's own embedded mode behind it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from qdrant_client import QdrantClient, models


class FakeQdrant:
    """
    The parts of Qdrant's REST interface that a store uses. ``faults`` are answered in place of the next requests: a status, a body and
    headers each; None closes the connection unanswered.

    Source: Qdrant's API reference, read 2026-11-21.
    """

    def __init__(self) -> None:
        self.engine = QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.faults: list[tuple[int, Any, dict[str, str]] | None] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.partition("?")[0]
                with fake.lock:
                    fake.paths.append(f"{self.command} {path}")
                    fake.keys.append(self.headers.get("api-key"))
                    fault = fake.faults.pop(0) if fake.faults else ...
                    status, said, headers = fake.answer(self.command, path, body) if fault is ... else (fault or (0, None, {}))
                if not status:
                    self.close_connection = True
                    return
                data = json.dumps(said).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data)), "content-type": "application/json"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        found = re.fullmatch(r"/collections/([^/]+)(.*)", path)
        assert found is not None, path
        name, rest = found.groups()
        given = json.loads(body or b"{}")
        if rest == "/exists":
            return self._good({"exists": self.engine.collection_exists(name)})
        if (method, rest) == ("PUT", ""):
            if self.engine.collection_exists(name):
                return 409, {"status": {"error": f"Wrong input: Collection `{name}` already exists!"}, "time": 0.0}, {}
            self.engine.create_collection(name, vectors_config=models.VectorParams(**given["vectors"]))
            return self._good(True)
        if not self.engine.collection_exists(name):
            return 404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}, "time": 0.0}, {}
        return self._good(self._done(name, method, rest, given))

    def _done(self, name: str, method: str, rest: str, given: Any) -> Any:
        engine = self.engine
        if (method, rest) == ("PUT", "/points"):
            return engine.upsert(name, models.Batch(**given["batch"])).model_dump(mode="json")
        if rest == "/points/query":
            wanted = models.Filter(**given["filter"]) if given.get("filter") else None
            threshold = given.get("score_threshold")
            nearest = given["query"]["nearest"]
            found = engine.query_points(name, nearest, limit=given["limit"], query_filter=wanted, score_threshold=threshold)
            return found.model_dump(mode="json")
        if rest == "/points/delete":
            chosen = models.PointIdsList(points=given["points"]) if "points" in given else models.Filter(**given["filter"])
            return engine.delete(name, chosen).model_dump(mode="json")
        if rest == "/points/count":
            wanted = models.Filter(**given["filter"]) if given.get("filter") else None
            return engine.count(name, wanted).model_dump(mode="json")
        if (method, rest) == ("POST", "/points"):
            return [point.model_dump(mode="json") for point in engine.retrieve(name, given["ids"], with_payload=given["with_payload"])]
        assert rest == "", rest
        return engine.get_collection(name).model_dump(mode="json")

    def _good(self, result: Any) -> tuple[int, Any, dict[str, str]]:
        return 200, {"result": result, "status": "ok", "time": 0.0}, {}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(2)
        self.engine.close()


@pytest.fixture
def qdrant() -> Iterator[FakeQdrant]:
    """A server of Qdrant's kind."""
    made = FakeQdrant()
    yield made
    made.close()
