"""The two faces are twins: the same methods, in the same order, with the same parameters and defaults."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import llmkit.agent
import llmkit.client
import llmkit.running
import llmkit.streaming
import llmkit_async.agent
import llmkit_async.client
import llmkit_async.limits
import llmkit_async.retrieval
import llmkit_async.running
import llmkit_async.streaming
from llmkit.resilience.rates import TokenBucket
from llmkit.retrieval import Retriever

TWINS = [
    (llmkit.client.Client, llmkit_async.client.AsyncClient),
    (llmkit.streaming.CompletionStream, llmkit_async.streaming.AsyncCompletionStream),
    (llmkit.running.RunStream, llmkit_async.running.AsyncRunStream),
    (llmkit.agent.Agent, llmkit_async.agent.AsyncAgent),
    (Retriever, llmkit_async.retrieval.AsyncRetriever),
    (TokenBucket, llmkit_async.limits.AsyncTokenBucket),
]

# What Python calls differently for coroutines.
SPELLED = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}


def methods(cls: type) -> list[str]:
    return [SPELLED.get(name, name) for name, value in vars(cls).items() if callable(value) or isinstance(value, (property, staticmethod))]


def parameters(cls: type, name: str) -> list[tuple[str, Any, Any]]:
    signature = inspect.signature(getattr(cls, name))
    return [(parameter.name, parameter.kind, parameter.default) for parameter in signature.parameters.values()]


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda cls: cls.__name__)
def test_the_twins_have_the_same_methods_in_the_same_order(sync: type, twin: type) -> None:
    """A change to one is a change to both."""
    assert methods(sync) == methods(twin)


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda cls: cls.__name__)
def test_the_twins_take_the_same_parameters(sync: type, twin: type) -> None:
    """Names, kinds, defaults and order."""
    for twin_name, value in vars(twin).items():
        if inspect.isfunction(value):
            assert parameters(sync, SPELLED.get(twin_name, twin_name)) == parameters(twin, twin_name), twin_name


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda cls: cls.__name__)
def test_the_twins_do_not_inherit_from_each_other(sync: type, twin: type) -> None:
    """What they share is below them, not in one of them."""
    assert (object,) == sync.__bases__
    assert (object,) == twin.__bases__


def test_no_decision_is_made_in_a_face() -> None:
    """The faces branch on nothing that a provider said: no status, no kind, no provider's name."""
    for module in (llmkit.client, llmkit_async.client, llmkit.running, llmkit_async.running, llmkit.agent, llmkit_async.agent):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert set() == words & {"status", "status_code", "kind", "retryable", "category", "retry_after", "headers", "body"}


@pytest.mark.parametrize("package", [llmkit, llmkit_async])
def test_each_package_shows_its_names_before_they_are_loaded(package: Any) -> None:
    """To those who ask for completion in a console or a notebook."""
    assert set(package.__all__) <= set(dir(package))
