"""The plans against the released program's (golden), and against counts made another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from runtime.hallo2.audio_plan import SHORTEST, AudioPlan, conv_outputs, planned, segments
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case

PIECE = 960_000


def plan_of(samples: int, clip: int, **options):
    plan = AudioPlan(clip=clip, **options)
    sound = range(samples)
    pieces = (sound[start : start + plan.piece_samples] for start in range(0, samples, plan.piece_samples))
    return plan, [piece for _, piece in planned(plan, pieces)]


@golden_cases(kind="windows", targets=["audio_plan"], folder=HALLO2_FOLDER)
def test_the_released_plan_is_the_released_programs(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    options, found = case.options, {name: [] for name in case.outputs}
    clip = options["frames_per_clip"]
    for samples in case.inputs["samples"].tolist():
        plan, pieces = plan_of(
            samples,
            clip,
            released=True,
            rate=options["sample_rate"],
            fps=options["fps"],
            piece_s=options["audio_piece_seconds"],
        )
        real = sum(piece.frames for piece in pieces)
        written = list(segments(clips=plan.clips, frames=real, clip=clip, every=options["clips_per_segment"]))
        found["pieces"].append(len(pieces))
        found["clips"].append(plan.clips)
        found["audio_frames"].append(real)
        found["segments"].append(len(written))
        found["encoded_frames"] += [piece.encoded_frames for piece in pieces]
        found["encoded_samples"] += [piece.encoded_samples for piece in pieces]
        found["segment_start"] += [segment.start for segment in written]
        found["segment_frames"] += [segment.frames for segment in written]
        found["segment_clip"] += [segment.clip for segment in written]
        assert plan.frames == min(clip * plan.clips, real)
    check(case, {name: np.array(values) for name, values in found.items()}, 0)


@pytest.mark.parametrize("clip", [1, 7, 8, 16])
@pytest.mark.parametrize(
    "samples", [1, 399, 640, 641, 8960, 10_240, PIECE - 1, PIECE, PIECE + 1, PIECE + 10_240, 1_228_800, 5_000_001]
)
def test_by_default_no_frame_is_lost_and_none_is_saved_that_was_appended(clip, samples):
    plan, pieces = plan_of(samples, clip)
    frames = math.ceil(Fraction(25 * samples, 16000))
    assert plan.frames == frames
    assert plan.clips == math.ceil(Fraction(frames, clip))
    assert sum(piece.samples for piece in pieces) == samples
    assert sum(piece.encoded_frames for piece in pieces) == plan.clips * clip
    assert all(piece.padding == 0 and piece.samples == PIECE for piece in pieces[:-1])
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert 0 <= pieces[-1].padding < clip
    assert [piece.start_frame for piece in pieces] == [1500 * i for i in range(len(pieces))]
    assert all(piece.encoded_samples >= SHORTEST for piece in pieces)


def test_the_released_plan_loses_an_end_and_makes_a_clip_in_vain_and_the_default_does_neither():
    for samples, released, default in [(970_240, (1504, 94), (1516, 95)), (1_228_800, (1920, 121), (1920, 120))]:
        plan, _ = plan_of(samples, 16, released=True)
        assert (plan.frames, plan.clips) == released
        plan, _ = plan_of(samples, 16)
        assert (plan.frames, plan.clips) == default


@pytest.mark.parametrize(
    ("samples", "heard"), [(1608, 1600), (1624, 1632), (PIECE + 8, PIECE), (2 * PIECE + 9, 2 * PIECE + 16)]
)
def test_as_released_the_sound_is_rounded_to_whole_milliseconds_half_to_even(samples, heard):
    _, pieces = plan_of(samples, 16, released=True)
    assert sum(piece.samples for piece in pieces) == heard == 16 * round(Fraction(samples, 16))
    assert pieces[-1].last


def test_as_released_frames_are_counted_in_floating_point():
    assert plan_of(8960, 16, released=True)[1][0].frames == 15  # 0.56 s
    assert plan_of(8960, 16)[1][0].frames == 14


def test_a_plan_is_one_piece_behind_so_that_endless_sound_needs_no_end():
    def endless():
        while True:
            taken.append(PIECE)
            yield range(PIECE)

    taken = []
    pieces = planned(AudioPlan(clip=16), endless())
    for index in range(3):
        assert next(pieces)[1].start_frame == 1500 * index
        assert len(taken) == index + 2


def test_no_sound_is_no_piece():
    for plan, pieces in (plan_of(0, 16), plan_of(7, 16, released=True)):
        assert pieces == []
        assert (plan.frames, plan.clips) == (0, 0)


@pytest.mark.parametrize("samples", [1, 9, 10, SHORTEST - 1, SHORTEST, 719, 720, 10_240, 37_920, PIECE])
def test_the_number_of_convolution_outputs_is_that_of_convolving(samples):
    places = np.arange(samples)
    for kernel, stride in [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]:
        ends = places[: max(len(places) - kernel + 1, 0)]
        places = ends[::stride]
    assert conv_outputs(samples) == len(places)
    assert (len(places) > 0) == (samples >= SHORTEST)


def test_a_short_piece_in_the_middle_and_sizes_that_do_not_divide_say_what_to_do():
    with pytest.raises(ValueError, match="needs 960000 samples, got 5; cut the sound into whole pieces"):
        list(planned(AudioPlan(clip=16), [range(PIECE), range(5), range(PIECE)]))
    with pytest.raises(ValueError, match="needs 1 to 960000 samples, got 960001"):
        list(planned(AudioPlan(clip=16), [range(PIECE + 1)]))
    with pytest.raises(ValueError, match="rate=44100, fps=40"):
        AudioPlan(clip=16, rate=44100, fps=40)
