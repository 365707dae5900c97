"""Execute the notebooks and save their outputs in place: ``python notebooks/run.py``.

Names, or beginnings of names, choose some of them: ``python notebooks/run.py 01 04``. With
``--check`` they are executed and nothing is saved. Needs the dev extra.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
TIMEOUT = 900  # seconds for a cell, on a machine that is busy with other things

_ENCODED = re.compile(r"base64,[A-Za-z0-9+/=]+")
_PATH = re.compile(r"(?<![\w.</:-])(?:[A-Z]:\\|/)(?:\w[\w.-]*[/\\])+\w[^\s'\"]*")
_WARNING = re.compile(r".*Warning.*")


def execute(path: Path) -> Any:
    """Run a notebook from top to bottom.

    Parameters
    ----------
    path : Path

    Returns
    -------
    nbformat.NotebookNode
        With its new outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises an error.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        extra_arguments=["--log-level=40"],
    )
    # This checkout, installed or not.
    paths = [str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]
    client.execute(env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))})
    return notebook


def outputs(notebook: Any) -> list[Any]:
    """List the outputs of all cells."""
    return [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.get("outputs", [])
    ]


def faults(notebook: Any) -> list[str]:
    """Say what outputs must not be saved with: errors, warnings, and paths of some machine."""
    found = []
    for output in outputs(notebook):
        if output.output_type == "error":
            found.append(f"error: {output.ename}")
        if output.output_type == "stream" and output.name == "stderr":
            found.append(f"written to standard error: {output.text[:200]}")
        data = [text for kind, text in output.get("data", {}).items() if "image/" not in kind]
        for text in [output.get("text", ""), *map(str, data)]:
            readable = _ENCODED.sub("", text)
            found += [f"absolute path: {path[:100]}" for path in _PATH.findall(readable)]
            found += [f"warning: {line[:200]}" for line in _WARNING.findall(readable)]
    return found


def shrink(notebook: Any) -> None:
    """Reduce pictures to 256 colours, with which they take a third of the space."""
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
            small = io.BytesIO()
            colours = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
            colours.save(small, "png", optimize=True)
            output.data["image/png"] = base64.b64encode(small.getvalue()).decode()


def main() -> int:
    """Execute what the command line names.

    Returns
    -------
    int
        Exit status: 1 if outputs may not be saved.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names (default: all)")
    parser.add_argument("--check", action="store_true", help="save nothing")
    options = parser.parse_args()
    failed = False
    for path in sorted(FOLDER.glob("*.ipynb")):
        if options.names and not path.name.startswith(tuple(options.names)):
            continue
        began = perf_counter()
        notebook = execute(path)
        seconds = perf_counter() - began
        shrink(notebook)
        found = faults(notebook)
        failed = failed or bool(found)
        notebook.metadata.language_info = {"name": "python"}
        content = nbformat.writes(notebook)
        if not options.check and not found:
            path.write_text(content + "\n", encoding="utf-8")
        size = len(content) / 1e6
        sys.stdout.write(f"{path.name}: {seconds:.1f} s, {size:.2f} MB\n")
        sys.stdout.writelines(f"    {fault}\n" for fault in found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
