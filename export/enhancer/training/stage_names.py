"""What `--stage` chooses from, in the order in which it is done: known before torch is there."""

from __future__ import annotations

TRAINING = ("upscaler", "write")
