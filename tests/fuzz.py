"""How many examples a fuzz test tries: HP_TRT_FUZZ times as many as usual."""

from __future__ import annotations

import os


def examples(n: int) -> int:
    """`n`, multiplied by the environment variable HP_TRT_FUZZ."""
    return n * int(os.environ.get("HP_TRT_FUZZ", "1"))
