"""What tests make at great cost and keep: exported graphs and bundles, by what decides their content.

One folder outside of the sessions (HP_TRT_TEST_CACHE, else ~/.cache/hp-trt/tests), so that workers, runs and checkouts
share it. An entry's name is a hash of the facts that its maker gives, of the code of ours that has a part in it, and of
the versions of the exporter: changed code makes another entry, so nothing is ever stale. What nobody asked for lately
goes, when all together is more than `MOST_BYTES`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).parents[1]
MOST_BYTES = 6 << 30
YOUNG_S = 2 * 3600  # a session that runs beside may still need it
# What decides a graph of any model, beside its promise and its module, and a bundle; each model's rooms do beside them.
GRAPH_CODE = ("export/graphs", "export/weights/random.py", "export/blocks.py")
BUNDLE_CODE = (*GRAPH_CODE, "export/weights", "engines", "export")
PACKAGES = ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "numpy")


def model_code(*models: str) -> tuple[str, ...]:
    """The rooms of models that decide their graphs and bundles."""
    return tuple(
        place
        for model in models
        for place in (f"export/{model}", f"export/{model}/networks", f"runtime/{model}/presets.py")
    )


@functools.cache
def code_hash(*places: str) -> str:
    """Of every module that lies in these folders, or is one of these files; of what is not there, nothing."""
    digest = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for file in [path] if path.suffix == ".py" else sorted(path.glob("*.py")):
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest()


def where() -> Path:
    given = os.environ.get("HP_TRT_TEST_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "hp-trt" / "tests"


class Cache:
    """Folders by content. Safe to share between processes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or where()

    def entry(self, kind: str, facts: Any, make: Callable[[Path], None], *, code: tuple[str, ...]) -> Path:
        """The folder that `make` filled for these facts (JSON): now, or in another session. `code`: folders and
        modules that have a part in it. Read only."""
        decides = {
            "facts": facts,
            "code": code_hash(*code),
            "versions": {package: metadata.version(package) for package in PACKAGES},
            "python": platform.python_version(),
            "processor": processor(),
        }
        key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        folder = self.folder / f"{kind}-{key[:20]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                hidden = folder.with_name(f".{folder.name}")
                shutil.rmtree(hidden, ignore_errors=True)
                hidden.mkdir()
                make(hidden)
                hidden.rename(folder)
        os.utime(folder)
        return folder

    def discard(self, entry: Path) -> None:
        shutil.rmtree(entry, ignore_errors=True)
        Path(f"{entry}.lock").unlink(missing_ok=True)

    def prune(self, most_bytes: int = MOST_BYTES) -> None:
        """Let go of what was used longest ago, until the rest fits; never of what a session beside may need."""
        if not self.folder.is_dir():
            return
        for lost in self.folder.glob(".*"):  # of a session that was killed
            if lost.stat().st_mtime < time.time() - YOUNG_S:
                shutil.rmtree(lost, ignore_errors=True)
        entries = sorted((p for p in self.folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
        sizes = {p: sum(f.stat().st_size for f in p.rglob("*") if f.is_file()) for p in entries}
        total = sum(sizes.values())
        for entry in entries:
            if total <= most_bytes or entry.stat().st_mtime > time.time() - YOUNG_S:
                return
            self.discard(entry)
            total -= sizes[entry]


@functools.cache
def processor() -> str:
    """Constants are folded by this machine's kernels: on another kind of processor they may round otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
