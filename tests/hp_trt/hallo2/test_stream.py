"""A portrait that speaks live, over a bundle's real graphs: frames out with their sound, clip after clip."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import InputError
from engines.onnx_backend import OnnxSession
from hp_trt import Runtime
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hallo2.portrait_encoder import encoded
from hp_trt.sample import write_sample
from runtime.hallo2.clips import chain
from runtime.hallo2.live_speech import LiveSpeech
from runtime.hallo2.motion_frames import first_motion
from runtime.hallo2.sampling import Sampling

FRAME, CLIP = 640, 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    portrait, _ = write_sample(folder, frames=1)
    return portrait, folder / "portrait.landmarks.json"


@pytest.fixture(scope="module")
def runtime(bundle_of):
    with Runtime(bundle_of(preset="tiny_talk", parity=False)) as opened:
        yield opened


@pytest.fixture(scope="module")
def portrait(runtime, drawn):
    return runtime.portrait(drawn[0], landmarks=drawn[1])


def speech(frames: float) -> np.ndarray:
    """Noise with the values of 16 bits, which samples are given in any case."""
    rng = np.random.default_rng(0)
    return (np.rint(3000 * rng.standard_normal(int(frames * FRAME))) / 32768).astype(np.float32)


def shown(session, wave: np.ndarray, *, cut: int) -> list:
    """All frames of a wave that is pushed in parts, while another thread would pull: here the queues hold them all."""
    for start in range(0, len(wave), cut):
        session.push(wave[start : start + cut])
    session.close()
    return list(session)


def test_every_frame_comes_out_in_order_with_its_own_sound(runtime, portrait):
    wave = speech(7.4)
    with runtime.live(portrait, queue_in=20, queue_out=20) as session:
        frames = shown(session, wave, cut=500)
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.pts_s for frame in frames] == [Fraction(n, 25) for n in range(8)]
    heard = np.concatenate([frame.sound for frame in frames])
    assert np.array_equal(heard[: len(wave)], wave) and not heard[len(wave) :].any()
    assert all(frame.crop.shape == (32, 32, 3) and frame.latency_s > 0 for frame in frames)
    assert frames[0].full().shape == portrait.image.shape


def tokens_of(runtime, wave: np.ndarray) -> list:
    """Of every clip of a wave, whose samples leave two frames late."""
    sessions, parts = live_sessions(runtime), list(wave.reshape(-1, FRAME))
    live = LiveSpeech(runtime.backend, sessions, clip=CLIP)
    starts = range(0, len(parts), CLIP)
    aheads = [parts[start + CLIP : start + CLIP + 2] or [wave[:0]] for start in starts]
    return [live.tokens(parts[s : s + CLIP], np.concatenate(a)) for s, a in zip(starts, aheads, strict=True)]


def live_sessions(runtime):
    profile = runtime.model.profiles.find("live")
    return runtime.graphs.of(profile, runtime.model.roles(profile))


def clips_of(runtime, portrait, tokens, state=None):
    return chain(
        runtime.backend,
        live_sessions(runtime),
        conditions=encoded(portrait).conditions,
        audio_tokens=tokens,
        sampling=Sampling.from_manifest(runtime.bundle.manifest.sampling),
        state=state,
    )


def test_live_frames_are_those_of_the_chain_and_of_the_speech_so_far(runtime, portrait):
    wave = speech(2 * CLIP)
    with runtime.live(portrait, queue_in=20, queue_out=20) as session:
        made = [frame.crop for frame in shown(session, wave, cut=len(wave))]
    clips = clips_of(runtime, portrait, tokens_of(runtime, wave))
    np.testing.assert_array_equal(made, [frame for clip in clips for frame in clip.frames])


def test_another_portrait_begins_at_its_own_picture(runtime, portrait, drawn):
    other = runtime.portrait(np.ascontiguousarray(portrait.image[:, ::-1]), landmarks=Mirrored(drawn[1]))
    wave = speech(2 * CLIP)
    with runtime.live(portrait, queue_in=20, queue_out=20) as session:
        session.push(wave[: (CLIP + 2) * FRAME])  # a clip, and what its last frames hear
        assert len([session.pull() for _ in range(CLIP)]) == CLIP
        session.change(portrait=other)
        session.push(wave[(CLIP + 2) * FRAME :])
        session.close()
        made = [frame.crop for frame in session]
    first, second = tokens_of(runtime, wave)
    (before,) = clips_of(runtime, portrait, [first])
    motion = first_motion(encoded(other).conditions.picture, 1)
    (after,) = clips_of(runtime, other, [second], replace(before.after, motion=motion))
    np.testing.assert_array_equal(made, list(after.frames))


def test_another_profile_goes_on_with_the_samples_that_wait_and_where_the_last_clip_ended(runtime, portrait):
    wave = speech(2 * CLIP)
    with runtime.live(portrait, queue_in=20, queue_out=20) as session:
        session.push(wave[: (CLIP + 2) * FRAME])
        before = [session.pull() for _ in range(CLIP)]
        session.change(profile="live")
        session.push(wave[(CLIP + 2) * FRAME :])
        session.close()
        frames = [*before, *session]
    np.testing.assert_array_equal(np.concatenate([frame.sound for frame in frames]), wave)
    clips = clips_of(runtime, portrait, tokens_of(runtime, wave))
    np.testing.assert_array_equal([frame.crop for frame in frames], [frame for clip in clips for frame in clip.frames])


def test_of_speech_no_policy_leaves_single_frames(runtime, portrait):
    with pytest.raises(InputError, match="the policy latest would leave the last 40 ms of what is said"):
        runtime.live(portrait, policy="latest")
    with pytest.raises(InputError, match="landmarks: only for a portrait that a driving video moves"):
        runtime.live(portrait, landmarks="faces.json")


def test_nothing_that_drives_is_refused_where_it_is_pushed(runtime, portrait):
    with runtime.live(portrait) as session:
        with pytest.raises(InputError, match="push 0: the samples are 'a picture', needed are"):
            session.push("a picture")
        with pytest.raises(InputError, match="push 0: the samples have the shape"):
            session.push(np.zeros((4, 4, 3), np.float32))
        session.close()
        assert list(session) == []
        with pytest.raises(InputError, match="the live session is closed"):
            session.push(speech(1))


def test_a_session_speaks_in_the_mood_that_it_was_begun_with(moods_bundle, drawn):
    wave = speech(CLIP)

    def frames(**options) -> np.ndarray:
        with moods.live(who, queue_in=20, queue_out=20, **options) as session:
            return np.stack([frame.crop for frame in shown(session, wave, cut=len(wave))])

    with Runtime(moods_bundle) as moods:
        who = moods.portrait(drawn[0], landmarks=drawn[1])
        plain = frames()
        np.testing.assert_array_equal(frames(mood="neutral"), plain)
        assert (frames(mood="angry") != plain).any()
        with pytest.raises(InputError, match="needs behind its colon one number of 0 to 1"):
            moods.live(who, mood="angry:2")


def test_a_mood_is_refused_live_too_where_the_weights_know_none(runtime, portrait):
    with pytest.raises(InputError, match="these weights know no moods"):
        runtime.live(portrait, mood="happy")


class Mirrored:
    """The landmarks of a drawn picture, for its mirror image."""

    name, reads_pixels, steadiness = "mirrored", False, 0.0

    def __init__(self, path) -> None:
        self._file = LandmarksFile.read(path)

    def locate(self, image, frame=0):
        width = image.shape[1]
        made = []
        for face in self._file.locate(image, frame):
            x, y, w, h = face.box
            points = np.array([[width - px, py] for px, py in face.landmarks])[[1, 0, 2, 4, 3]]
            made.append(replace(face, box=(width - x - w, y, w, h), landmarks=points, parts=None, mesh=None))
        return made


def test_a_session_has_run_each_graph_in_the_shapes_of_its_first_clip_before_that_is_said(
    runtime, portrait, monkeypatch
):
    runtime.model._warmed.clear()
    runs: list[tuple] = []

    def run(session, inputs, outputs=None, plain=OnnxSession.run):
        runs.append((session.spec.name, *(inputs[tensor.name].shape for tensor in session.spec.inputs)))
        return plain(session, inputs, outputs)

    monkeypatch.setattr(OnnxSession, "run", run)
    with runtime.live(portrait, queue_in=20, queue_out=20) as session:
        before = set(runs)
        assert len(runs) < 40, "a step of the denoiser, not all of them"
        runs.clear()
        assert len(shown(session, speech(CLIP + 2), cut=FRAME)) == CLIP + 2
    assert {name for name, *_ in runs} == {name for name, *_ in before} and runs[0] in before
    assert {run for run in runs if run[0] != "speech_encoder"} <= before  # which hears more with every clip
