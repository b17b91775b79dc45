"""A live session's three threads over TrtBackend: the bits of the plain loop, no race, no leak, no wait in a turn."""

from __future__ import annotations

import gc
import threading
from fractions import Fraction

import numpy as np
import pytest

from hp_trt.live.session import LiveSession
from runtime.hunyuanportrait.live import LiveLoop
from runtime.stages import Stages
from tests.engines.fake_cuda import FakeDriver, ManyThreads
from tests.hp_trt.hunyuanportrait.live_device import WINDOWS, LiveDevice, picture, plain_frames
from tests.hp_trt.live.fake_stream import FakeOpener

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
LEVELS = [20 + i for i in range(6 + 7 * 16)]
PATIENCE_S = 60


@pytest.mark.parametrize("side_px", [64, 512])
@pytest.mark.parametrize("overlap", [False, True])
def test_a_session_over_plans_has_the_bits_of_the_plain_loop_and_waits_for_nothing_in_its_turn(
    tmp_path, overlap, side_px
):
    levels = LEVELS if side_px < 512 else LEVELS[: 6 + 7 * 5]
    driver = ManyThreads(FakeDriver(total_bytes=2 << 30))
    device = LiveDevice(tmp_path, side_px, driver=driver, overlap_decode=overlap)  # type: ignore[arg-type]
    with device.backend:
        made = _animated(device, driver, levels)
    for ours, plain in zip(made, plain_frames(levels, side_px), strict=True):
        np.testing.assert_array_equal(ours, plain)
    assert not driver.waits_in_turn, "\n\n".join(dict.fromkeys(driver.waits_in_turn))
    del device
    gc.collect()
    driver.require_clean()


def test_a_wait_in_the_turn_would_be_found(tmp_path, monkeypatch):
    """As the loop once did it: the numbers of the window before are looked at while the turn is held."""
    window = LiveLoop.window
    monkeypatch.setattr(LiveLoop, "window", lambda loop, tokens: (window(loop, tokens), loop._guard.settle())[0])
    driver = ManyThreads(FakeDriver(total_bytes=2 << 30))
    device = LiveDevice(tmp_path, 64, driver=driver)  # type: ignore[arg-type]
    with device.backend:
        _animated(device, driver, LEVELS)
    assert any("_denoise" in stack for stack in driver.waits_in_turn)


def _animated(device: LiveDevice, driver: ManyThreads, levels: list[int]) -> list[np.ndarray]:
    session = LiveSession(
        device.stream(),
        device.portrait,
        opener=FakeOpener(),
        policy="block",
        queue_in=WINDOWS.size,
        queue_out=2 * WINDOWS.size,
        stages=Stages(),
    )
    made: list[np.ndarray] = []
    with session:
        pushing = threading.Thread(target=_push, args=(session, levels))
        pushing.start()
        while (frame := session.pull(PATIENCE_S)) is not None:
            made.append(frame.crop)
            if len(made) == 2 * WINDOWS.size:
                driver.turn = session._turn  # memory is there, and every shape has run
        pushing.join()
    driver.turn = None
    return made


def _push(session: LiveSession, levels: list[int]) -> None:
    for number, level in enumerate(levels):
        session.push(picture(level), Fraction(number, 25))
    session.close()
