"""Export the page as a static site that separates songs in the visitor's browser."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import songsplit
from songsplit.errors import OutputExistsError
from songsplit.files import TEMPORARY_PREFIX, output_errors
from songsplit.inference.onnx_engine import OnnxEngine
from songsplit.models.weights import any_network
from songsplit.web.server import PAGE

_MODEL = "model.onnx"
_ENGINE = "api/engine"


def export_site(folder: Path, model: str | None = None) -> None:
    """Write page, runtime and model to a new folder, completely or not at all.

    The site can be copied to any host of static files. OutputExistsError is raised if the folder
    exists.
    """
    network = any_network(model, int8=True)
    if folder.exists():
        raise OutputExistsError(f"{folder} already exists: name another folder")
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=TEMPORARY_PREFIX) as made:
            site = Path(made) / folder.name
            shutil.copytree(PAGE, site, ignore=shutil.ignore_patterns("*.md"))
            for packed in site.rglob("*.gz"):
                packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
                packed.unlink()
            (site / _MODEL).write_bytes(network)
            _complete(site, OnnxEngine(network))
            site.rename(folder)


def _complete(site: Path, engine: OnnxEngine) -> None:
    """Write the description of the engine, and the version by which browsers cache the site."""
    paths = [path for path in sorted(site.rglob("*")) if path.is_file()]
    files = [path.relative_to(site).as_posix() for path in paths]
    described: dict[str, Any] = {
        "kind": "browser",
        "version": songsplit.__version__,
        "models": [
            {
                "name": engine.card.get("name", "own model"),
                "terms": engine.card.get("terms", ""),
                "file": _MODEL,
                "config": dataclasses.asdict(engine.config),
            }
        ],
        "qualities": ["balanced"],
        "formats": ["wav", "flac", "mp3"],
        "songs": [],
        # Browsers cache these at the first visit for offline use, and encoders at their first use.
        "files": [_ENGINE, *(file for file in files if "mediabunny" not in file)],
    }
    (site / _ENGINE).parent.mkdir()
    (site / _ENGINE).write_text(json.dumps(described), encoding="utf-8")
    # Browsers update the site when this file changes.
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    worker = site / "offline.js"
    text = worker.read_text(encoding="utf-8").replace("VERSION", digest[:16])
    worker.write_text(text, encoding="utf-8")
