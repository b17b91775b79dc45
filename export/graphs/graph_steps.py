"""One graph of a build before anything is done: what decides its content, what the bundle holds of it, and why it would
be built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.manifest import GraphRecord
from export.graphs.graph import Graph


@dataclass(frozen=True, kw_only=True)
class GraphStep:
    """A graph to be built, or one that the bundle holds already."""

    graph: Graph
    facts: Mapping[str, Any]  # all that decides what its file contains, and whether it was compared: JSON data
    record: GraphRecord | None  # of a finished one; None: it is still to be built
    before: GraphRecord | None  # of this name in the bundle that stands, whatever it is

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def build(self) -> bool:
        return self.record is None

    @property
    def key(self) -> str:
        return digest(self.facts)

    @property
    def why(self) -> str:
        """Why it would be built; empty where the bundle holds it already."""
        return _why(self.before, self.facts) if self.build else ""


def digest(facts: Any) -> str:
    """sha256 (hex) over JSON data. Of a graph's facts it is the content key, which stands for one folder for ever: a
    graph is never made again under the name of one that is intact."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _why(before: GraphRecord | None, facts: Mapping[str, Any]) -> str:
    if before is None:
        return "the bundle has none"
    old = before.built.get("facts", {})
    reasons = []
    if old.get("spec") != facts["spec"]:
        reasons.append("its tensors change (size, frames or precision)")
    if old.get("half") != facts["half"]:
        reasons.append("the precision changes")
    if old.get("networks") != facts["networks"]:
        reasons.append("the networks' sizes change")
    if changed := _changed(old.get("weights"), facts["weights"]):
        reasons.append(f"other weights of {', '.join(changed)}")
    if (old.get("quantized") or {}) != (facts.get("quantized") or {}):
        reasons.append("it is calibrated otherwise")
    if changed := _changed(old.get("versions"), facts["versions"]):
        reasons.append("other versions of " + ", ".join(changed))
    if old.get("opset") != facts["opset"] or old.get("code") != facts["code"]:
        reasons.append("this program exports differently")
    if facts["parity"] and not old.get("parity"):
        reasons.append("it was never compared with its network")
    return ", ".join(reasons) or "its files are damaged"


def _changed(old: Any, new: Mapping[str, str]) -> list[str]:
    old = old if isinstance(old, Mapping) else {}
    return [name for name, value in new.items() if old.get(name) != value]
