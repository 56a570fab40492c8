"""
A batch at the processes of Ray.

Ray has no ``Executor`` of ``concurrent.futures``, but all that one is made of: twelve lines, below. ``client.batch`` and
``client.batch_iter``, of ``AsyncClient`` too, take it as they take a ``ProcessPoolExecutor``.

As it stands it needs no key and no network: a server on this machine answers. Run it with ``pip install llmkit ray`` and
``python examples/ray_executor.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import ray

from llmkit import Client
from llmkit.testing import FakeServer


class RayExecutor(Executor):
    """The processes of the Ray that this program is connected to; *options* are those of a task, such as ``num_cpus``."""

    def __init__(self, **options: Any) -> None:
        # Ray would do the work of a process that died once more, and have it paid for twice.
        self._call = ray.remote(max_retries=0, **options)(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._call.remote(fn, args, kwargs).future()
        return future


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


def prepare() -> None:
    """Give a process of Ray the key, which never travels with a client. This one is made up, and shows who asks."""
    os.environ["OPENAI_API_KEY"] = f"sk-made-up-{os.getpid():010}"


def main() -> None:
    prepare()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"worker_process_setup_hook": prepare})
    try:
        with FakeServer() as server:
            client = Client("openai/gpt-4o-mini", base_url=server.url("openai"), budget="0.10")
            result = client.batch([f"Say {number}" for number in range(100)], executor=RayExecutor(), max_concurrency=4, max_tokens=50)
            result.raise_for_errors()
            processes = {request.key for request in server.requests}
            print(f"{result.succeeded} answers for ${result.cost}, from {len(processes)} processes")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
