"""How much a video is: counted by hand, and as the chain really runs."""

from __future__ import annotations

from collections import Counter

import pytest

from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.work import clip_work
from tests.fakes import FakeBackend
from tests.runtime.hallo2 import fake_networks as fake


def calls(work, stage):
    """How often each graph is called with so many units."""
    return {(call.graph, call.units): call.times for call in work.graphs[stage]}


def test_a_released_minute_and_a_half_worked_out_by_hand():
    work = clip_work(2250, Sampling(), clip=16, motion_frames=2)
    # 2250 / 16 = 140.6: 141 clips, 2256 frames. Pieces of 1500 frames: one, and 750 with 6 more of silence.
    assert calls(work, "speech") == {("speech_encoder", 1500): 1, ("speech_encoder", 756): 1}
    assert calls(work, "audio_tokens") == {("audio_tokens", 16): 141}
    assert calls(work, "motion_frames") == {("talk_vae_encoder", 2): 141}
    assert calls(work, "reference") == {("reference", 4): 141}
    assert calls(work, "denoise") == {("talk_steps", 40): 1, ("talk_denoiser", 1): 40 * 141}
    assert calls(work, "decode") == {
        ("talk_vae_decoder", 2): 141,
        ("talk_vae_decoder", 8): 141,
        ("talk_vae_decoder", 6): 141,
    }
    assert (work.frames, work.window, work.padded, work.rows) == (2250, 16, 16, 80)
    assert work.row_forwards == 40 * 141


@pytest.mark.parametrize(
    ("frames", "clip", "m", "both", "chunk"), [(9, 4, 2, True, 8), (8, 4, 3, False, 1), (5, 2, 3, True, 2)]
)
def test_work_is_what_the_chain_runs(frames, clip, m, both, chunk):
    backend = FakeBackend()
    sampling = Sampling(steps=3, guidance=2 if both else 1, decode_chunk=chunk)
    names = {"denoiser": "talk_denoiser" if both else "talk_denoiser_one"}
    work = clip_work(frames, sampling, clip=clip, motion_frames=m, both=both, **names)
    sessions = fake.fake_sessions(backend, frames=clip, motion_frames=m, both=both)
    conditions = encode_conditions(
        backend, sessions, **fake.fake_portrait(), motion_frames=fake.motion_frames(sessions), scaling_factor=0.18215
    )
    sound = [backend.upload(tokens) for tokens in fake.fake_speech(-(-frames // clip), clip)]
    for made in chain(backend, sessions, conditions=conditions, audio_tokens=sound, sampling=sampling):
        list(made.frames)
    promised = Counter()
    for call in (call for stage in work.graphs.values() for call in stage):
        promised[call.graph, call.units] += call.times
    ran = Counter()
    for session in sessions.values():
        for shapes in session.runs:
            sizes = session.spec.check_inputs({t.name: _Shaped(shapes[t.name], t.dtype) for t in session.spec.inputs})
            unit = {"stitch": "held", "reference": "rows", "talk_vae_encoder": "pictures", "talk_steps": "steps"}
            dim = unit.get(session.spec.name) or session.spec.unit
            ran[session.spec.name, sizes[dim] if dim else 1] += 1
    of_sound = {"speech_encoder", "audio_tokens"}
    assert ran == Counter({key: times for key, times in promised.items() if key[0] not in of_sound})


class _Shaped:
    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype
