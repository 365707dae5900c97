"""The page as a static site, which separates songs in the visitor's browser."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import songsplit
from songsplit.errors import OutputError, OutputExistsError
from songsplit.models.onnx import save_onnx
from songsplit.models.weights import load_model
from songsplit.web.server import PAGE

_MODEL = "model.onnx"
_ENGINE = "api/engine"
_NOT_SERVED = (".md",)


def export_site(folder: Path, model: str | None = None) -> None:
    """Write the complete site to a new folder: page, runtime and model.

    It can be copied to any host of static files. OutputExistsError says if the folder is there.
    """
    stored = load_model(model)
    if folder.exists():
        raise OutputExistsError(f"{folder} is already there: name another folder")
    try:
        with tempfile.TemporaryDirectory(prefix="songsplit-") as made:
            network = Path(made) / _MODEL
            save_onnx(stored, network)  # first, because what it needs may be missing
            shutil.copytree(PAGE, folder)
            shutil.copyfile(network, folder / _MODEL)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix not in _NOT_SERVED]
    paths = [path for path in paths if path.is_file()]
    files = [path.relative_to(folder).as_posix() for path in paths]
    engine: dict[str, Any] = {
        "kind": "browser",
        "version": songsplit.__version__,
        "models": [
            {
                "name": stored.card.get("name", "own model"),
                "terms": stored.card.get("terms", ""),
                "file": _MODEL,
                "config": dataclasses.asdict(stored.model.config),
            }
        ],
        "qualities": ["balanced"],
        "formats": ["wav", "flac", "mp3"],
        "songs": [],
        # What is kept for use offline at the first visit; encoders are kept when they are used.
        "files": [_ENGINE, *(file for file in files if "mediabunny" not in file)],
    }
    (folder / _ENGINE).parent.mkdir()
    (folder / _ENGINE).write_text(json.dumps(engine), encoding="utf-8")
    # Browsers take a new version when this file differs.
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    worker = folder / "offline.js"
    text = worker.read_text(encoding="utf-8").replace("VERSION", digest[:16])
    worker.write_text(text, encoding="utf-8")
