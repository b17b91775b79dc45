"""What `--stage` chooses from, in the order in which it is done: known before torch is there."""

from __future__ import annotations

TRAINING = (
    "sentences",
    "speech",
    "clips",
    "vae",
    "seen",
    "heard",
    "plain",
    "given",
    "lips",
    "rolled",
    "steady",
    "talk",
    "spoken",
    "decoder",
    "write",
)
