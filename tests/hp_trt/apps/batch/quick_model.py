"""A model that runs no graph, whose clips can be left and gone on with after every second frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hp_trt.media.images import load_image
from hp_trt.media.portrait import Portrait
from hp_trt.model import Clip
from hp_trt.profiles import Profiles
from hp_trt.resume.loop_state import LoopState
from tests.hp_trt.test_models import Brighter

CHUNK = 2


class Quick(Brighter):
    """Frames are the driving pictures. `on_frame` hears of each that is made."""

    profiles = Profiles(own_file=Path(__file__).with_name("quick_profiles.toml"), sampling=("steps",), check=id)
    on_frame = staticmethod(lambda: None)

    def portrait(self, image, locator, stages):
        key = "0" * 63 + str(len(Path(image).name))
        return Portrait(
            image=load_image(image), path=Path(image), notes=(), paste=lambda crop: crop, encoded=7, key=key
        )

    def clip(self, portrait, driving, profile, stages):
        done = int(driving.state.numbers["frames"]) if driving.state else 0
        made = [done]
        timed = list(driving.frames.timed(stages))

        def frames():
            for number in range(done, len(timed)):
                self.on_frame()
                image, time_s = timed[number]
                made[0] = number + 1
                yield number, time_s, np.asarray(image)

        def state():
            ends = made[0] % CHUNK == 0 or made[0] == len(timed)
            return LoopState(numbers={"frames": made[0]}) if ends else None

        return Clip(frames=frames(), notes=lambda: ("quick",), state=state, times=[time_s for _, time_s in timed])
