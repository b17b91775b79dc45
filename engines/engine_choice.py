"""Which engine runs a graph on a CPU: measured where its plan was built, written down there, and read when it is
opened. Nothing is measured, and nothing chosen, at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from engines.fields import Field

Engine = Literal["onnxruntime", "openvino", "openvino-bf16"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """The faster engine of one graph, and by what it is."""

    exported: Engine  # in the precision that the graph was exported in
    bf16: Engine | None = None  # where a profile allows products in bf16; None: the machine that built has none
    ms: Mapping[str, float] = field(default_factory=dict)  # by engine: the fastest call of those that were tried
    sizes: Mapping[str, int] = field(default_factory=dict)  # of the run-time dimensions, in those calls
    threads: int = 1
    why_not: str = ""  # why OpenVINO was not tried; empty where it was

    @property
    def plan_is_used(self) -> bool:
        """Whether any profile opens the plan; else the graph runs as it is, and the bundle holds no plan of it."""
        return self.exported != "onnxruntime" or self.bf16 not in ("onnxruntime", None)

    def engine(self, *, bf16: bool) -> Engine:
        """The engine for a profile that allows bf16, or not."""
        return self.bf16 or self.exported if bf16 else self.exported

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ms": dict(self.ms), "sizes": dict(self.sizes)}

    @classmethod
    def from_json(cls, data: Any) -> EngineChoice:
        """`data`: a mapping or a Field. ValueError."""
        found = Field.of(data)
        exported: Engine = found["exported"].choice(("onnxruntime", "openvino"))
        return cls(
            exported=exported,
            bf16=None if found["bf16"].found is None else found["bf16"].choice(ENGINES),
            ms={name: value.number(0, 1e9) for name, value in found["ms"].entries(most=len(ENGINES))},
            sizes={name: value.whole(1, 2**31 - 1) for name, value in found["sizes"].entries(most=64)},
            threads=found["threads"].whole(1, 100_000),
            why_not=found["why_not"].text(most=10_000),
        )


def faster(ms: Mapping[str, float], *, sizes: Mapping[str, int], threads: int) -> EngineChoice:
    """The choice that a measurement makes. `ms`: of each engine that was tried, ONNX Runtime always among them."""
    tried = sorted((engine for engine in ENGINES if engine in ms), key=lambda engine: ms[engine])
    return EngineChoice(
        exported=next(engine for engine in tried if engine != "openvino-bf16"),
        bf16=tried[0] if "openvino-bf16" in tried else None,
        ms=ms,
        sizes=sizes,
        threads=threads,
    )
