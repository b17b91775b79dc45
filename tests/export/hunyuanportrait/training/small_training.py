"""`python -m tests.export.hunyuanportrait.training.small_training ...`: the training command on a quarter of pocket's
pixels. For tests of starting and killing: the networks, the stages and the files are the real ones."""

from __future__ import annotations

from dataclasses import replace

from export.hunyuanportrait import presets
from export.train import main

if __name__ == "__main__":
    presets.POCKET = replace(presets.POCKET, size=64)  # until this process ends
    main()
