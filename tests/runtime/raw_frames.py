"""A decoder's raw frames, of which the runtime asks for pixels: to hold them against golden ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.backend import Backend
from runtime.decode import decoder_buffers


@dataclass
class WithFrames:
    """A decoder's session that is asked for its frames in every call, and keeps them."""

    session: Any
    backend: Backend
    chunks: list[np.ndarray] = field(default_factory=list)  # (f, 3, H, W) float32, in the order of the calls

    @property
    def spec(self):
        return self.session.spec

    def run(self, inputs, outputs=None):
        frames = decoder_buffers(self.backend, self.spec, inputs["latents"].shape[0], ("frames",))
        made = self.session.run(inputs, {**frames, **(outputs or {})})
        self.chunks.append(self.backend.download(made["frames"]))
        return made

    def close(self):
        self.session.close()
