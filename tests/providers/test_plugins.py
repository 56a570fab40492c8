"""Providers of other packages, found by the entry points of real distributions."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from llmkit import Client, ConfigurationError, refresh_custom_providers
from llmkit.providers import find_provider, owner_of, provider_names, split_model
from llmkit.providers.registry import Registry

ROOT = Path(__file__).parents[2]
Install = Callable[..., Path]

ROW = """
from llmkit import Provider
from llmkit.dialects.openai_chat import OpenAIChat

row = Provider(name="{name}", base_url="https://{name}.example/v1", key_required=False, dialect=OpenAIChat(owner="{name}"))

def one():
    return row

def several():
    return [row, Provider(name="{name}-two", base_url="https://{name}.example/v2", dialect=row.dialect)]
"""

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return an installer of small packages: a module, and the metadata that pip would write."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(name: str, code: str, entry: str, points: str | None = None) -> Path:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[llmkit.providers]\n{points or name} = {module}:{entry}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return info

    return installed


@pytest.mark.parametrize(("entry", "names"), [("row", ["acme"]), ("one", ["acme"]), ("several", ["acme", "acme-two"])])
def test_a_package_brings_its_providers(install: Install, entry: str, names: list[str]) -> None:
    """As a value, or from a function."""
    install("acme", ROW.format(name="acme"), entry)

    found = refresh_custom_providers()

    assert names == found
    assert set(names) <= set(provider_names())


def test_a_package_may_register_by_itself(install: Install) -> None:
    """With all that register_provider takes."""
    code = """
import llmkit

def register():
    llmkit.register_provider("acme", base_url="https://acme.example/v1", env="ACME_KEY", model_prefixes="acme-")
"""
    install("acme", code, "register")

    assert ["acme"] == refresh_custom_providers()
    assert "acme" == owner_of("acme-1")


def test_nobody_has_to_ask_for_it(install: Install) -> None:
    """A name that is not known is looked for once."""
    install("acme", ROW.format(name="acme"), "one")

    with Client("acme/big") as client:
        assert "https://acme.example/v1/chat/completions" == client.explain("Hi").url


def test_a_models_name_alone_finds_it_too(install: Install) -> None:
    """By its prefix; and the model of one call, whatever the client's own provider."""
    code = ROW.format(name="acme").replace("key_required=False", "key_required=False, model_prefixes=('acme-',)")
    install("acme", code, "one")

    with Client("acme-1") as client, Client("openai/m", api_key="k") as other:
        assert "acme" == client.explain("Hi").provider
        assert "acme" == other.explain("Hi", model="acme/big").provider


def test_known_names_are_found_without_reading_anything(install: Install) -> None:
    """Looking for packages costs more than importing llmkit."""
    install("acme", "raise RuntimeError('was imported')", "one")

    find_provider("openai")
    split_model("openai/gpt-4o")
    with Client("openai/gpt-4o", api_key="k"), Client("my-model", base_url="http://localhost:8000"):
        pass

    assert "acme" not in sys.modules


@pytest.mark.parametrize(
    ("code", "entry", "words"),
    [
        ("import nothing_of_that_name", "row", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("1 / 0", "row", "ZeroDivisionError"),
        ("x = (", "row", "SyntaxError"),
        ("", "row", "AttributeError"),
        ("row = 3", "row", "TypeError"),
        ("row = ['acme']", "row", "TypeError: it gives a str, not a Provider"),
        ("def row():\n    raise ValueError('no good')", "row", "ValueError: no good"),
        (ROW.format(name="openai"), "row", "already means the provider 'openai'"),
    ],
)
def test_a_broken_entry_point_is_named_and_left_out(install: Install, code: str, entry: str, words: str) -> None:
    """The others come in all the same."""
    install("broken", code, entry)
    install("acme", ROW.format(name="acme"), "one")

    with pytest.warns(RuntimeWarning, match="The entry point 'broken' of the package 'broken'") as caught:
        found = refresh_custom_providers()

    assert ["acme"] == found
    assert words in str(caught[0].message)
    assert "https://api.openai.com/v1" == find_provider("openai").base_url


def test_a_broken_package_is_warned_of_once(install: Install) -> None:
    """Not with each name that nobody knows."""
    install("broken", "1 / 0", "row")

    with pytest.warns(RuntimeWarning, match="broken"), pytest.raises(ConfigurationError, match="no provider 'whose'"):
        find_provider("whose")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigurationError):
            find_provider("whose")


def test_reading_again_finds_what_came_and_forgets_what_went(install: Install) -> None:
    """A notebook installs packages while it runs."""
    info = install("acme", ROW.format(name="acme"), "one")
    first = refresh_custom_providers()
    again = refresh_custom_providers()
    install("later", ROW.format(name="later"), "one")
    (info / "entry_points.txt").write_text("")

    found = refresh_custom_providers()

    assert (["acme"], ["acme"], ["later"]) == (first, again, found)
    assert "acme" not in provider_names()


def test_what_a_package_took_over_comes_back(install: Install) -> None:
    """When the package is gone, a name means again what the table says."""
    code = "import llmkit\n\ndef register():\n    llmkit.register_provider('zhipu', base_url='https://mine.example', replace=True)\n"
    info = install("mine", code, "register")
    refresh_custom_providers()
    taken = find_provider("zai").base_url
    (info / "entry_points.txt").write_text("")

    refresh_custom_providers()

    assert "https://mine.example" == taken
    assert "https://{region}/api/paas/v4" == find_provider("zai").base_url
    assert "zhipu" == owner_of("glm-5")


def test_an_entry_point_may_ask_for_providers_itself(install: Install) -> None:
    """What is not there yet is not waited for."""
    code = "import llmkit.providers\n\ndef ask():\n    llmkit.providers.find_provider('whose')\n"
    install("acme", code, "ask")

    with pytest.warns(RuntimeWarning, match="no provider 'whose'"):
        assert [] == refresh_custom_providers()


def test_threads_that_ask_meanwhile_wait(install: Install) -> None:
    """None of them is told that there is no such provider."""
    install("acme", "import time\ntime.sleep(0.05)\n" + ROW.format(name="acme"), "one")
    gate, failures = threading.Barrier(8), []

    def ask() -> None:
        gate.wait()
        try:
            find_provider("acme")
        except ConfigurationError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures


def test_a_forked_child_can_look(own_registry: Registry) -> None:
    """A lock that another thread held at the moment of the fork does not hold the child up."""
    thread = threading.Thread(target=own_registry._discovery.acquire)
    thread.start()
    thread.join()

    own_registry.renew()

    assert own_registry.discover()


def test_an_installed_package_is_found_by_a_fresh_process(install: Install, tmp_path: Path) -> None:
    """And a broken one does not keep llmkit from being imported."""
    install("broken", "1 / 0", "row")
    install("acme", ROW.format(name="acme"), "one")
    script = "import llmkit; print(llmkit.Client('acme/big').explain('Hi').url)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})

    assert "https://acme.example/v1/chat/completions\n" == done.stdout
    assert "RuntimeWarning: The entry point 'broken'" in done.stderr
