"""The notebook among the examples, executed by a real kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def executed() -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent.parent)}}).execute()
    return notebook


def outputs(notebook: Any, beginning: str) -> list[Any]:
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and beginning in cell.source)
    found: list[Any] = cell.outputs
    return found


def test_an_answer_is_shown_as_the_markdown_that_it_is(executed: Any) -> None:
    """That of a call, and that of a run."""
    (reply,) = outputs(executed, "client.complete")
    (run,) = outputs(executed, "client.run")

    assert "You said: Say **hi**" == reply.data["text/markdown"]
    assert "**42**" == run.data["text/markdown"]


def test_a_stream_is_printed_as_it_comes(executed: Any) -> None:
    """Below the notebook's own loop, without ``await``."""
    assert "You said: Tell me a story" == "".join(output.text for output in outputs(executed, "client.stream"))


@pytest.mark.parametrize("batch", ["client.batch", "twin.batch"])
def test_the_progress_of_a_batch_is_a_widget_that_fills(executed: Any, batch: str) -> None:
    """Of either face; nothing is drawn in characters beside it."""
    bar = outputs(executed, batch)[0].data["application/vnd.jupyter.widget-view+json"]["model_id"]

    widgets = executed.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    parts = [widgets[child.removeprefix("IPY_MODEL_")]["state"] for child in widgets[bar]["state"]["children"]]
    (filled,) = (part for part in parts if part["_model_name"] == "FloatProgressModel")
    assert (50, 50, "success") == (filled["value"], filled["max"], filled["bar_style"])
    assert not any("%|" in output.text for output in outputs(executed, batch) if output.output_type == "stream")


def test_both_faces_answer_alike(executed: Any) -> None:
    """The twin is awaited in a cell as it is."""
    assert "True\n" == outputs(executed, "twin.batch")[-1].text


def test_it_is_kept_without_its_outputs() -> None:
    """They would differ with each run."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    assert [] == [cell for cell in notebook.cells if cell.get("outputs")]
