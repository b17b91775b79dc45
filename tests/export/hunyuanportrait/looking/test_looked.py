"""A portrait and a driving video through the literal program while it is watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from export.attention_maps.asked import Asked
from export.hunyuanportrait.looking import looked
from export.hunyuanportrait.looking.attention import ROWS
from hp_trt.faces.locators import open_locator
from hp_trt.sample import landmarks_beside, write_driving, write_portrait
from tests.export.tiny import SMALL, make_known

PAD, STEPS, TAKEN = 1, 2, SMALL.frames


@pytest.mark.parametrize("frames", [1, TAKEN + 2])
def test_only_frames_of_the_clip_count_in_the_windows_that_the_loop_goes_through(tmp_path, monkeypatch, frames):
    make_known(monkeypatch, replace(SMALL, sampling={"pad_frames": PAD}))
    portrait, video = tmp_path / "p.png", tmp_path / "d.mp4"
    write_portrait(portrait, seed=3, px=128)
    write_driving(video, seed=4, frames=frames, px=128)
    run, made, watched = looked.run_program, [], []
    monkeypatch.setattr(looked, "run_program", lambda *args, **given: made.append(run(*args, **given)) or made[0])
    watching = looked.watching
    monkeypatch.setattr(looked, "watching", lambda unet, seen: watched.append(seen) or watching(unet, seen))
    found = looked.looked_at(
        Asked(
            preset="small",
            weights=None,
            portrait=portrait,
            driver=video,
            locator=open_locator("landmarks", landmarks_beside(portrait)),
            driving_locator=open_locator("landmarks", landmarks_beside(video)),
            steps=STEPS,
        )
    )
    windows, clip = made[0].loop.window_frames, range(PAD, PAD + min(frames, TAKEN))
    assert made[0].video.shape[0] == len(clip), "no more of the video than a window has"
    assert watched[0].calls == ROWS * windows.shape[0] * windows.shape[1]
    shown = sum(int(frame) in clip for frame in windows.flatten())
    assert watched[0].levels[1].share.count == shown, "one attention in the middle"
    assert watched[0].levels[0].share.count == 3 * shown, "one before it and two behind"
    assert found.levels == (0, 1) and found.pictures["a frame"].shape == (SMALL.size, SMALL.size, 3)


@pytest.mark.parametrize(("own", "asked", "steps"), [(25, None, 4), (3, None, 3), (3, 7, 7)])
def test_four_steps_are_taken_or_as_many_as_the_preset_or_who_asks_says(own, asked, steps):
    preset = replace(SMALL, sampling={"steps": own})
    assert looked._sampling(preset, asked).steps == steps
