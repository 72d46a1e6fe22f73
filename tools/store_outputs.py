"""Run notebooks and store the outputs that the tests compare: text. Pictures and widgets are made by every build.

python tools/store_outputs.py [NOTEBOOK or FOLDER ...]
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
# What front ends note in a cell, and what changes with every run.
VOLATILE = ("execution", "ExecuteTime", "collapsed", "scrolled")


def text_only(output: NotebookNode) -> NotebookNode:
    """Keep the text of one output."""
    if output.output_type in ("display_data", "execute_result"):
        output.data = NotebookNode({"text/plain": output.data.get("text/plain", "")})
        output.metadata = NotebookNode()
    return output


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed to the same stream: where it is cut is a matter of timing."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            same = [other for other in kept if other.get("name") == output.name]
            if same:
                same[0].text += output.text
                continue
        kept.append(output)
    return kept


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Bring a notebook into the form in which it is stored; one in that form comes back unchanged.

    Cells are numbered from 1. nbval compares nothing in a cell without a number, so that a notebook without numbers
    passes whatever it prints.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = NotebookNode(KERNEL)
    notebook.metadata.language_info = NotebookNode(LANGUAGE)
    number = 0
    for cell in notebook.cells:
        for name in VOLATILE:
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            number += 1
            cell.execution_count = number
            cell.outputs = joined([text_only(output) for output in cell.outputs])
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = number
    return notebook


def run(path: Path) -> None:
    """Run one notebook in its own folder and store it with its text outputs."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        store_widget_state=False,
        resources={"metadata": {"path": path.parent}},
    )
    client.execute()
    notebook = normalise(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main(places: list[str]) -> None:
    """Run every notebook named, or found in a folder named."""
    for place in map(Path, places or ["book"]):
        if not place.exists():
            sys.exit(f"no such notebook or folder: {place}")
        for path in sorted(place.rglob("*.ipynb")) if place.is_dir() else [place]:
            if ".ipynb_checkpoints" not in path.parts:
                print(path, flush=True)
                run(path)


if __name__ == "__main__":
    main(sys.argv[1:])
