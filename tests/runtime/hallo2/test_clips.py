"""The chain against the released program, written out plainly: every row of its list, every step, frame by frame."""

from __future__ import annotations

import gc
import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from engines.errors import BundleError, InputError, NonFiniteError
from runtime.hallo2.clips import ChainState, chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.presets import NEUTRAL
from runtime.hallo2.random_stream import TorchStream
from runtime.hallo2.sampling import Sampling
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.runtime.hallo2 import fake_networks as fake

SAMPLING = Sampling(steps=3, motion_weights=(1.0, 0.5, 2.0), decode_chunk=2)
JOINED = replace(SAMPLING, join=True)


def released(portrait, speech, s, *, m, clips, moods=False):
    """SPEC 8 as it stands, in float64, with the numbers of the stream: yields each clip's frames, and the motion frames
    that it leaves. Where `s.join` says so, and that is ours, the clips are joined."""
    frames = len(speech[0])
    alphas = np.cumprod(1 - np.linspace(0.00085, 0.012, 1000))
    root = np.sqrt(alphas)
    alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    tokens, face = fake.identity(portrait["embedding"].astype(float), portrait["face_region"][None].astype(float))
    source = portrait["picture"].astype(float)
    motion = np.repeat(source, m, axis=0)
    stream = TorchStream(s.seed)
    masks, scale = [mask.astype(float) for mask in portrait["masks"]], np.array(s.motion_weights)
    last = np.empty((0, *fake.CELL))
    for clip in range(clips):
        field = stream.uniform((fake.H, fake.W))
        x = stream.normal((4, frames, *fake.CELL[1:])).swapaxes(0, 1).astype(float)
        kept = (field > np.float32(s.mask_rate)) | (portrait["face_region"] != 0)
        latents = s.scaling_factor * fake.encode(np.concatenate([source, motion * kept]))
        rows = [fake.reference(latent, tokens[r % 2]) for r, latent in enumerate([*latents, *latents])]
        halves = rows[: 1 + m], rows[1 + m :]
        banks = range(len(fake.BANKS))
        of_halves = [[np.stack([row[i] for row in part[1:]]) for i in banks] for part in halves]
        seen = [halves[(frames + i) % 2][0] for i in range(frames)]
        keys = [[fake.key_value(bank)[0] for bank in row] for row in seen]
        values = [[fake.key_value(bank)[1] for bank in row] for row in seen]
        conditions = speech[clip].astype(float), face, masks, scale, keys, values
        for k in range(s.steps):
            t = round(1000 - k * 1000 / s.steps) - 1
            before, after = alphas[t], alphas[t - 1000 // s.steps] if t >= 1000 // s.steps else 1.0
            embedding = fake.embed(np.array([t], float))
            v_u = fake.half(x, embedding, tokens[0], of_halves[0])
            v_c = fake.half(x, embedding, tokens[1], of_halves[1], conditions)
            if moods:
                v_c = v_c + fake.felt(np.array([s.mood_weights or NEUTRAL]))
            v = v_u + s.guidance * (v_c - v_u)
            clean = np.sqrt(before) * x - np.sqrt(1 - before) * v
            noise = np.sqrt(before) * v + np.sqrt(1 - before) * x
            x = np.sqrt(after) * clean + np.sqrt(1 - after) * noise
        if s.join:
            if clip:
                x = where_it_was_going(x, last, masks[0][2].reshape(fake.CELL[1:]))
            last = np.concatenate([last, x])[-2:]
        decoded = fake.decode(x)
        motion = np.concatenate([motion, np.clip(decoded, -1, 1)])[-m:]
        yield decoded, motion


def where_it_was_going(x, before, lips):
    """Of a clip's latents (F, 4, h, w): each number by itself, in float64, as `joint` says it."""
    out, frames = x.copy(), len(x)
    for c, i, j in np.ndindex(x.shape[1:]):
        here, (a, b) = x[:, c, i, j], (before[0, c, i, j], before[-1, c, i, j])
        moves = b - a if frames == 1 else ((b - a) + (here[1] - here[0])) / 2
        for k in range(frames):
            out[k, c, i, j] += (frames - k) / frames * (1 - lips[i, j]) * (b + moves - here[0])
    return out


def encoded(backend, sessions, portrait, s):
    return encode_conditions(
        backend, sessions, **portrait, motion_frames=fake.motion_frames(sessions), scaling_factor=s.scaling_factor
    )


def begin(
    s=SAMPLING,
    *,
    frames=4,
    m=2,
    clips=3,
    both=True,
    moods=False,
    token_dtype="float32",
    backend=None,
    first=0,
    **options,
):
    """The chain over fakes: its clips as they come, and the sessions."""
    backend = backend or FakeBackend()
    kinds = {"both": both, "moods": moods, "token_dtype": token_dtype}
    sessions = fake.fake_sessions(backend, frames=frames, motion_frames=m, **kinds)
    conditions = encoded(backend, sessions, fake.fake_portrait(), s)
    speech = fake.fake_speech(clips, frames, token_dtype=token_dtype)[first:]
    tokens = [backend.upload(clip) for clip in speech]
    made = chain(backend, sessions, conditions=conditions, audio_tokens=tokens, sampling=s, **options)
    return made, sessions


def frames_of(made):
    return [np.stack([frame.copy() for frame in clip.frames]) for clip in made]


def same(ours, plain):
    """The chain's clips are those that `released` makes: motion frames to rounding, and pixels but where rounding takes
    a value across a level."""
    for made, (frames, motion) in zip(ours, plain, strict=True):
        # float32, and frames that go round three times
        assert np.abs(made.after.motion - motion).max() <= 1e-5, f"clip {made.clip}"
        levels = (np.clip(frames / 2 + 0.5, 0, 1) * 255).transpose(0, 2, 3, 1)
        pixels = np.stack(list(made.frames))
        assert pixels.dtype == np.uint8
        near = [(levels + off).astype(np.uint8) == pixels for off in (-2e-3, 2e-3)]
        assert (near[0] | near[1]).all(), f"clip {made.clip}"


@pytest.mark.parametrize(
    ("frames", "m", "both"),
    [(4, 2, True), (5, 2, True), (4, 1, True), (5, 3, True), (3, 4, True), (1, 2, True), (4, 2, False), (5, 3, False)],
)
def test_the_chain_is_the_released_program(frames, m, both):
    """Odd and even m give the rows other tokens, odd and even F the frames other references; m may be above F."""
    s = SAMPLING if both else Sampling(steps=3, guidance=1)
    ours = begin(s, frames=frames, m=m, both=both)[0]
    same(ours, released(fake.fake_portrait(), fake.fake_speech(3, frames), s, m=m, clips=3))


@pytest.mark.parametrize(("frames", "m"), [(4, 2), (1, 2), (2, 1)])
def test_joined_clips_begin_where_the_one_before_was_going_and_end_as_they_were_made(frames, m):
    ours = begin(JOINED, frames=frames, m=m)[0]
    same(ours, released(fake.fake_portrait(), fake.fake_speech(3, frames), JOINED, m=m, clips=3))
    apart, joined = (frames_of(begin(s, frames=frames, m=m)[0]) for s in (SAMPLING, JOINED))
    np.testing.assert_array_equal(apart[0], joined[0])  # nothing is before the first
    assert (apart[1] != joined[1]).any()


def test_guidance_1_is_the_conditional_half_with_either_denoiser():
    s = Sampling(steps=3, guidance=1)
    for one, other in zip(frames_of(begin(s)[0]), frames_of(begin(s, both=False)[0]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_conditional_half_alone_runs_half_of_the_reference_rows():
    for both, rows in ((True, 4), (False, 2)):
        made, sessions = begin(Sampling(steps=3, guidance=1), both=both)
        frames_of(made)
        assert [run["latents"][0] for run in sessions["reference"].runs] == [2] + [rows] * 3


def test_the_conditional_half_alone_has_no_other_guidance():
    with pytest.raises(BundleError, match=r"talk_denoiser_one runs the conditional half alone.* asked for 3.5"):
        begin(both=False)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("mood", [None, (0.25, 0, 0.75, 0, 0, 0), (0, 0, 0, 0, 0, 0)])
def test_a_mood_is_told_the_conditional_half_alone_and_none_is_neutral(mood, both):
    s = Sampling(steps=3, guidance=2 if both else 1, mood_weights=mood)
    ours = begin(s, both=both, moods=True)[0]
    same(ours, released(fake.fake_portrait(), fake.fake_speech(3, 4), s, m=2, clips=3, moods=True))


def test_a_denoiser_that_knows_no_moods_is_asked_for_none():
    with pytest.raises(BundleError, match=r"talk_denoiser knows no moods, asked for 0, 1, 0, 0, 0, 0; ask for none"):
        begin(Sampling(mood_weights=(0, 1, 0, 0, 0, 0)))


def test_what_a_video_keeps_is_made_once():
    made, sessions = begin(clips=4)
    frames_of(made)
    assert {name: len(session.runs) for name, session in sessions.items()} == {
        "identity": 1,
        "vae_encoder": 1 + 4,
        "reference": 1 + 4,
        "bank_kv": 1,
        "steps": 1,
        "denoiser": 4 * 3,
        "stitch": 4 * 3,
        "decoder": 4 * 2,
    }


def test_float16_tokens_stay_float16_on_the_way():
    ours = frames_of(begin(token_dtype="float16")[0])
    plain = frames_of(begin()[0])
    error = max(np.abs(a.astype(int) - b).max() for a, b in zip(ours, plain, strict=True))
    assert 0 < error <= 3  # levels: halves of numbers about 1, three steps and three clips long


@pytest.mark.parametrize("clips_before", [1, 2])
@pytest.mark.parametrize("frames", [4, 1])
@pytest.mark.parametrize("s", [SAMPLING, JOINED], ids=["released", "joined"])
def test_a_chain_goes_on_from_a_state_as_if_it_had_not_been_broken_off(clips_before, frames, s):
    whole, _ = begin(s, frames=frames)
    made = [(clip.after, np.stack(list(clip.frames))) for clip in whole]
    state = made[clips_before - 1][0]
    assert state.clip == clips_before
    stored = ChainState(
        clip=state.clip,
        motion=np.array(state.motion.tolist(), np.float32),
        words=state.words,
        latents=None if state.latents is None else np.array(state.latents.tolist(), np.float32),
    )
    resumed, _ = begin(s, frames=frames, state=stored, first=clips_before)
    again = [(clip.clip, np.stack(list(clip.frames))) for clip in resumed]
    assert [clip for clip, _ in again] == list(range(clips_before, 3))
    for (_, one), (_, other) in zip(again, made[clips_before:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_of_another_portrait_or_of_none_is_refused():
    motion = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(InputError, match=r"after clip 0 has motion frames \(2, 3, 8, 8\), .* need \(2, 3, 16, 16\)"):
        begin(state=ChainState(clip=1, motion=motion, words=7))
    for wrong in (
        {"clip": -1},
        {"words": -1},
        {"motion": motion + 2},
        {"motion": motion * np.nan},
        {"motion": motion[0]},
        {"latents": np.zeros((3, 4, 2, 2), np.float32)},
        {"latents": np.full((2, 4, 2, 2), np.nan, np.float32)},
    ):
        with pytest.raises(InputError, match="is none of a chain"):
            ChainState(**{"clip": 1, "motion": motion, "words": 7, **wrong})


def test_given_draws_stand_in_for_the_stream():
    stream, numbers = TorchStream(SAMPLING.seed), {}
    for clip in range(3):
        numbers[clip] = stream.uniform((16, 16)), stream.normal((4, 4, 2, 2))
    asked = []
    made = begin(
        Sampling(steps=3, motion_weights=(1, 0.5, 2), seed=7), draws=lambda c: (asked.append(c), numbers[c])[1]
    )
    for one, other in zip(frames_of(made[0]), frames_of(begin()[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert asked == [0, 1, 2]


def test_no_sound_is_no_clip():
    assert frames_of(begin(clips=0)[0]) == []


def test_every_step_of_every_clip_is_shown():
    seen = []
    frames_of(begin(on_step=lambda clip, step, latents: seen.append((clip, step, latents.shape)))[0])
    assert seen == [(clip, step, (4, *fake.CELL)) for clip in range(3) for step in range(3)]


def order_of(made, sessions, log):
    """What happens when: runs of some graphs, and frames."""
    for name in ("vae_encoder", "denoiser", "decoder"):
        session = sessions[name]
        real = session.formula
        session.formula = lambda name=name, real=real, **inputs: (log.append(name), real(**inputs))[1]
    for clip in made:
        log.append(f"clip {clip.clip}")
        for number, _ in enumerate(clip.frames):
            log.append(f"frame {number}")


CLIP = ["vae_encoder", "denoiser", "denoiser", "denoiser"]


def test_a_clip_is_decoded_before_the_next_begins_where_nothing_works_on_by_itself():
    log: list[str] = []
    made, sessions = begin(frames=6, clips=2)
    order_of(made, sessions, log)
    shown = ["frame 0", "frame 1", "decoder", "frame 2", "frame 3", "frame 4", "frame 5"]
    assert log == [
        *CLIP, "decoder", "clip 0", "decoder", *shown,
        *CLIP, "decoder", "clip 1", "decoder", *shown,
    ]  # fmt: skip


def test_the_next_clip_is_under_way_while_frames_leave_where_work_goes_on_by_itself():
    backend, log = FakeBackend(), []
    backend.asynchronous = True
    made, sessions = begin(frames=6, clips=2, backend=backend)
    order_of(made, sessions, log)
    last, first = log[: log.index("clip 1")], log[log.index("clip 1") :]
    # The last two frames are waited for with the first two on their way, these with the two after them and with the
    # next clip, of which a piece is queued with every frame: its motion frames, then step after step.
    assert last == [
        *CLIP, "decoder", "decoder", "clip 0",
        "vae_encoder", "decoder", "frame 0", "denoiser", "frame 1", "denoiser", "frame 2", "denoiser", "frame 3",
        "frame 4", "frame 5", "decoder", "decoder",
    ]  # fmt: skip
    assert first == ["clip 1", "decoder", *(f"frame {number}" for number in range(6))]


def test_frames_do_not_wait_for_the_sound_of_the_next_clip_where_it_comes_in_real_time():
    backend, taken = FakeBackend(), []
    backend.asynchronous = True
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=2)
    conditions = encoded(backend, sessions, fake.fake_portrait(), SAMPLING)

    def sound():
        for clip, tokens in enumerate(fake.fake_speech(2, 4)):
            taken.append(clip)
            yield backend.upload(tokens)

    for ahead in (True, False):
        taken.clear()
        made = chain(backend, sessions, conditions=conditions, audio_tokens=sound(), sampling=SAMPLING, ahead=ahead)
        next(next(made).frames)
        assert taken == ([0, 1] if ahead else [0])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_frames_that_nobody_took_in_time_are_kept_for_whoever_holds_the_clip(asynchronous):
    backend = FakeBackend()
    backend.asynchronous = asynchronous
    clips = list(begin(backend=backend)[0])
    for one, other in zip(frames_of(clips), frames_of(begin()[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [list(clip.frames) for clip in clips] == [[], [], []]


def test_frames_that_nobody_took_are_decoded_before_the_next_clip_begins():
    made, sessions = begin(frames=6, clips=2)
    next(made)
    assert len(sessions["decoder"].runs) == 1
    encoder, seen = sessions["vae_encoder"], []
    real = encoder.formula
    encoder.formula = lambda **inputs: (seen.append(len(sessions["decoder"].runs)), real(**inputs))[1]
    next(made)
    assert seen == [3]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_bits_do_not_depend_on_what_runs_beside_what(asynchronous):
    backend = FakeBackend()
    backend.asynchronous = asynchronous
    for one, other in zip(frames_of(begin(backend=backend)[0]), frames_of(begin()[0]), strict=True):
        np.testing.assert_array_equal(one, other)


def spoiled(sessions, role, output, *, run):
    """One value of a session's output is NaN from its `run`-th run on."""
    session, count = sessions[role], itertools.count()
    real = session.formula

    def formula(**inputs):
        results = real(**inputs)
        if next(count) >= run:
            results[output].flat[0] = np.nan
        return results

    session.formula = formula


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("role", "output", "run", "message"),
    [
        ("vae_encoder", "mean", 1, "talk_vae_encoder: the motion frames of clip 1: 1 of 32 values"),
        ("reference", "bank_1", 1, "reference: motion_1 of clip 1 at step 0: 1 of 8 values"),
        ("denoiser", "velocity", 4, "talk_denoiser: velocity of clip 1 at step 1: 1 of 64 values"),
        ("stitch", "next_latents", 5, "latents of clip 1 after step 2: 1 of 64 values"),
    ],
)  # fmt: skip
def test_a_nan_names_its_clip_and_costs_no_frame_of_the_clip_before(asynchronous, role, output, run, message):
    backend = FakeBackend()
    backend.asynchronous = asynchronous
    made, sessions = begin(backend=backend)
    spoiled(sessions, role, output, run=run)
    first = next(made)
    assert len(list(first.frames)) == 4
    with pytest.raises(NonFiniteError, match=message):
        next(made)


def test_ctrl_c_in_the_next_clip_is_not_kept_for_later_and_does_not_end_the_video_quietly():
    backend = FakeBackend()
    backend.asynchronous = True
    made, sessions = begin(backend=backend)
    first = next(made)

    def interrupted(**inputs):
        raise KeyboardInterrupt

    sessions["denoiser"].formula = interrupted
    with pytest.raises(KeyboardInterrupt):
        list(first.frames)
    with pytest.raises(KeyboardInterrupt):
        next(made)


def test_a_nan_of_sound_and_of_the_steps_is_found_too():
    backend = FakeBackend()
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=2)
    conditions = encoded(backend, sessions, fake.fake_portrait(), SAMPLING)
    speech = [backend.upload(np.full((4, 3, 4), np.nan, np.float32))]
    with pytest.raises(NonFiniteError, match="audio tokens of clip 0 at step 0"):
        next(chain(backend, sessions, conditions=conditions, audio_tokens=speech, sampling=SAMPLING))
    spoiled(sessions, "steps", "embeddings", run=0)
    with pytest.raises(NonFiniteError, match="talk_steps: embeddings: 1 of 18 values"):
        next(chain(backend, sessions, conditions=conditions, audio_tokens=speech, sampling=SAMPLING))


def test_a_nan_of_the_decoder_names_its_frames():
    made, sessions = begin(clips=2, frames=6)
    spoiled(sessions, "decoder", "sums", run=4)  # three chunks a clip, the last frames first
    assert len(list(next(made).frames)) == 6
    frames = next(made).frames
    with pytest.raises(NonFiniteError, match="talk_vae_decoder: frames 0 to 1 of clip 1: 1 of 2 frames hold"):
        next(frames)


@pytest.mark.parametrize(("frames", "m", "raw"), [(6, 2, 2), (3, 3, 3), (3, 4, 3)])
def test_raw_frames_are_fetched_of_the_last_ones_alone(frames, m, raw):
    backend = FakeBackend()
    fetched, fetch = [], backend.fetch
    backend.fetch = lambda buffer: (fetched.append(buffer), fetch(buffer))[1]
    made, _ = begin(frames=frames, m=m, clips=2, backend=backend)
    frames_of(made)
    floats = [buffer for buffer in fetched if buffer.shape[1:] == (3, fake.H, fake.W)]
    assert sum(buffer.shape[0] for buffer in floats) == 2 * raw
    assert sum(buffer.shape[0] for buffer in fetched if buffer.dtype == np.uint8) == 2 * frames


def test_a_decode_chunk_is_no_longer_than_a_clip_or_the_bundle():
    made, sessions = begin(Sampling(steps=1, decode_chunk=8), frames=3, m=1)
    frames_of(made)
    assert [run["latents"][0] for run in sessions["decoder"].runs] == [1, 2] * 3
    with pytest.raises(BundleError, match="decodes at most 8 frames at a time, asked for 9; lower decode_chunk"):
        begin(Sampling(decode_chunk=9), frames=9)


def test_stages_tell_how_much_there_is_and_are_over_with_the_last_frame():
    events = []
    frames_of(begin(stages=Stages(events.append))[0])
    ends = {event.stage: (event.done, event.total) for event in events if event.kind == "end"}
    assert ends == {
        "motion_frames": (3, 3), "reference": (3, 3), "denoise": (9, 9), "stitch": (9, 9), "decode": (12, 12),
    }  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
def test_memory_does_not_grow_with_the_number_of_clips(asynchronous):
    """Buffers that are still held when a clip leaves: as many after fifty clips as after three."""
    backend = FakeBackend()
    backend.asynchronous = asynchronous
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=2)
    conditions = encoded(backend, sessions, fake.fake_portrait(), SAMPLING)
    for session in sessions.values():
        session.runs = _Nothing()
    gc.collect()
    gc.disable()  # a circle would hold a device's memory until somebody looks for garbage
    try:
        sound = (backend.upload(tokens) for tokens in fake.fake_speech(50, 4))
        held = []
        for clip in chain(backend, sessions, conditions=conditions, audio_tokens=sound, sampling=SAMPLING):
            for _ in clip.frames:
                pass
            held.append(sys.getrefcount(backend))  # every buffer has one to its owner
    finally:
        gc.enable()
    assert set(held[3:-2]) == {held[2]}


class _Nothing(list):
    def append(self, item):
        pass
