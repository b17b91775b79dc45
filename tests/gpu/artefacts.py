"""Where graphs and plans of a size lie while the check runs, and word of whether they are done.

One process exports and builds while others measure. What is done is announced by a small file beside it, complete or
not there at all; a reader waits for that. What failed is announced too, so that only those who need it hear of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.gpu.children import ROOT
from tests.gpu.lines import Found, Lines, NotRun

LOOK_EVERY_S = 0.3
_CODE = ("engines", "runtime", "export", "tests/gpu")  # what exports and builds, and the sizes that it is done at


@dataclass(frozen=True)
class Artefact:
    """One graph, or one family's plan of it."""

    folder: Path  # of the size
    graph: str
    family: str = ""  # empty: the graph itself

    @property
    def path(self) -> Path:
        return self.folder / self.graph / (f"{self.family}.plan" if self.family else f"{self.graph}.onnx")

    @property
    def _word(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def done(self) -> bool:
        """Announced, well or not."""
        return self._word.exists()

    def forget_other(self) -> None:
        """As if it was never made, unless an earlier check left it whole, made by the same code and libraries."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(self._word.read_text(encoding="utf-8"))
            same = facts["made_by"] == made_by(self.family) and facts["bytes"] == self.size_bytes() > 0
            if same and not facts["error"]:
                return
        self._word.unlink(missing_ok=True)

    def announce(self, *, error: str = "", **facts: Any) -> None:
        """It is done; with `error`, it never will be."""
        self._word.parent.mkdir(parents=True, exist_ok=True)
        hidden = self._word.with_name(f".{self._word.name}")
        made = {"made_by": made_by(self.family), "bytes": self.size_bytes()}
        hidden.write_text(json.dumps({"error": error, **made, **facts}), encoding="utf-8")
        hidden.rename(self._word)

    def wait(self, until_s: float) -> dict[str, Any]:
        """The facts it was announced with. NotRun when it failed, or is not done in time."""
        what = f"{self.family or 'exported'} {'plan' if self.family else 'graph'} of {self.graph}"
        while not self.done:
            if time.time() >= until_s:
                raise NotRun(f"no time left: the {what} is not done")
            time.sleep(LOOK_EVERY_S)
        facts: dict[str, Any] = json.loads(self._word.read_text(encoding="utf-8"))
        if facts["error"]:
            raise NotRun(f"there is no {what}: {facts['error']}")
        return facts

    def size_bytes(self) -> int:
        files = (self.path, Path(f"{self.path}.data"))
        return sum(file.stat().st_size for file in files if file.exists())


@cache
def made_by(family: str) -> str:
    """sha256 over all that decides what an artefact is, its size and its graph aside: our code, and whose it calls."""
    packages = ["torch", "onnx", "onnxscript", "numpy"]
    packages += [f"{family}-cu13-libs", family] if family else []
    versions = {name: d.version for name in packages for d in metadata.distributions(name=name)}
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode())
    for file in sorted(p for folder in _CODE for p in (ROOT / folder).rglob("*.py")):
        digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def run_announced(lines: Lines, section: str, name: str, call: Callable[[], Found], artefact: Artefact) -> None:
    """Run a line that announces `artefact` where it ends well; whoever waits hears of the other case too."""
    if lines.run(section, name, call) is None:
        artefact.announce(error="see its line among those of the build")
