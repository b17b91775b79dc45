"""The CPU under this process: what it calls itself, and which instructions it has.

Plans for a CPU are tied to both, as plans for a GPU are to its name and capability: which engine is faster, and which
products it has, depends on them.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Of the instruction sets that the system names, those that decide how matrices are multiplied.
_DECIDING = frozenset(
    "avx2 fma avx_vnni avx_ne_convert avx512f avx512bw avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16 "
    "amx_fp16 asimd asimdhp asimddp bf16 i8mm sve sve2 svebf16 svei8mm sme sme2".split()
)


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """One kind of CPU."""

    name: str  # "AMD EPYC 9B14"
    features: tuple[str, ...]  # ("avx2", "avx512f"): in the words of the system


def find_cpu() -> Cpu:
    """The CPU of this machine, by its first core; of a system that does not say, the architecture alone."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip().lower(), value.strip())
    arm = " ".join(f"{name} {facts[name]}" for name in ("cpu implementer", "cpu part") if name in facts)
    words = (facts.get("flags") or facts.get("features") or "").split()
    return Cpu(
        name=(facts.get("model name") or arm or platform.processor() or platform.machine())[:100],
        features=tuple(sorted(_DECIDING.intersection(words))),
    )
