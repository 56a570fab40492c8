"""The walls of the house: who may import whom, and what importing may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("llmkit", "llmkit_async") for path in (ROOT / package).rglob("*.py"))

# Each library has one home; everybody else goes through it.
HOMES = {
    "requests": {"llmkit/transport/requests.py"},
    "urllib3": {"llmkit/transport/requests.py"},
    "aiohttp": {"llmkit_async"},
    "backoff": {"llmkit/resilience/backing.py"},
    "tomli": {"llmkit/config/files.py"},
    "yaml": {"llmkit/config/files.py"},
    "botocore": {"llmkit/auth/aws.py"},
    "tiktoken": {"llmkit/catalogue/bpe.py"},
    "tqdm": {"llmkit/progress.py"},
    "cattrs": {"llmkit/models/converter.py", "llmkit/schema/structuring.py"},
    "redis": {"llmkit/cache/redis.py", "llmkit/shared/store.py"},
    "sqlite3": {"llmkit/cache/sqlite.py"},
    "qdrant_client": {"llmkit/retrieval/qdrant.py"},
}

# Rooms from the ground up: a room may import those before it, and itself.
FLOORS = [
    {"_fork", "cancelling", "kinds", "secrets", "errors", "spelling", "values"},
    {"schema", "requirements", "tools", "tool_registry", "structured"},
    {"transport", "journal", "progress", "team"},
    {"models", "address", "events", "hooks"},
    {"dialects", "resilience", "auth", "metering", "cache", "shared"},
    {"providers"},
    {"catalogue"},
    {"abilities", "config", "detection", "probe", "settings", "strategies", "targets"},
    {"exchange", "holdings", "failing", "mending", "call", "endpoints", "asking", "jobs", "routing", "hedging", "embedding", "counting"},
    {"loop", "batch"},
    {"running", "streaming"},
    {"client"},
    {"agent", "clients", "functions", "retrieval"},
    {"testing"},
    {"cli", "__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """Yield the modules that *path* imports; only those loaded with it, if *at_import*. Imports for types alone do not count."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if typing_only or (at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            skipped.update(inner for child in node.body for inner in ast.walk(child))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    """Whoever else needs it asks there."""
    users = {name_of(path) for path in SOURCES if library in {module.split(".")[0] for module in imports(path)}}

    strangers = {user for user in users if not user.startswith(tuple(HOMES[library]))}

    assert set() == strangers


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """A module that seems to need an import from above needs a smaller word in the layer below."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "llmkit_async" or len(parts) == 1 or parts[1] == "__init__":
        return
    floor = FLOOR_OF[parts[1]]

    above = [
        module for module in imports(path, at_import=True) if module.startswith("llmkit.") and FLOOR_OF.get(module.split(".")[1], 0) > floor
    ]

    assert [] == above


def test_llmkit_never_imports_its_twin() -> None:
    """The sync package works without aiohttp. (The command line shows both faces, when asked.)"""
    users = [name_of(path) for path in SOURCES if path.parts[-3:-1] != ("llmkit", "cli") and name_of(path).startswith("llmkit/")]

    guilty = [user for user in users if any(module.startswith("llmkit_async") for module in imports(ROOT / user))]

    assert [] == guilty


@pytest.mark.parametrize("path", [path for path in SOURCES if "/dialects/" in name_of(path)], ids=name_of)
def test_a_dialect_is_pure(path: Path) -> None:
    """No client, no policy, no clock, no environment, no socket, no file."""
    forbidden = {"time", "os", "socket", "random", "threading", "asyncio", "pathlib", "urllib.request", "secrets", "uuid", "datetime"}
    rooms = {"client", "call", "exchange", "holdings", "endpoints", "routing", "resilience", "providers", "settings", "detection", "auth"}

    used = set(imports(path))

    assert set() == used & forbidden
    assert set() == {module for module in used if module.startswith("llmkit.") and module.split(".")[1] in rooms}


@pytest.mark.parametrize("path", [path for path in SOURCES if "/resilience/" in name_of(path)], ids=name_of)
def test_a_policy_neither_sleeps_nor_reads_a_socket(path: Path) -> None:
    """It is asked and told."""
    if path.name == "backing.py":
        return
    text = path.read_text()

    assert set() == set(imports(path)) & {"socket", "asyncio", "requests", "aiohttp"}
    assert "sleep(" not in text


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_that_came_from_outside_is_run(path: Path) -> None:
    """No eval, no pickle to read, no YAML that makes objects, no shell."""
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    modules = {module.split(".")[0] for module in imports(path)}

    assert set() == called & {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system"}
    assert set() == modules & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "subprocess"}


def test_provider_names_are_spelled_in_one_place() -> None:
    """No decision anywhere asks who the provider is. The fake server plays them, and so may name them."""
    from llmkit.providers import provider_names

    names = {name for name in provider_names() if name not in ("custom", "openai")}
    guilty = {}
    for path in SOURCES:
        where = name_of(path)
        if where.startswith(("llmkit/providers", "llmkit/testing/", "llmkit/cli/")):
            continue
        found = {
            value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Compare)
            for side in (node.left, *node.comparators)
            for leaf in ast.walk(side)
            if isinstance(leaf, ast.Constant) and isinstance(value := leaf.value, str) and value in names
        }
        if found:
            guilty[where] = found

    assert {} == guilty


IMPORT_SCRIPT = """
import builtins, socket, sys, threading
opened = []
real_open = builtins.open
builtins.open = lambda *args, **kwargs: (opened.append(args[0]), real_open(*args, **kwargs))[1]
sockets = []
real_init = socket.socket.__init__
socket.socket.__init__ = lambda self, *args, **kwargs: (sockets.append(1), real_init(self, *args, **kwargs))[1]
{statement}
loaded = {{"requests", "urllib3", "aiohttp", "backoff", "cattrs", "redis", "asyncio", "qdrant_client", "tqdm"}} & set(sys.modules)
print(sorted(loaded), opened, sockets, threading.active_count())
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import llmkit",
        "import llmkit, llmkit_async",
        "from llmkit import *",
        "import llmkit.testing",
        "import llmkit.retrieval",
    ],
)
def test_importing_costs_nothing(statement: str) -> None:
    """Neither requests, aiohttp, backoff nor cattrs are loaded, no socket is opened, no thread started, no file read."""
    script = IMPORT_SCRIPT.format(statement=statement)

    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert "[] [] [] 1" == output.strip()
