"""Predictions against arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from engines.errors import InputError
from hp_trt.measure.planning.gpus import GPUS, LAUNCH_S
from hp_trt.measure.planning.planned_model import model_of_preset
from hp_trt.measure.planning.predict import Card, Timed, predict
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import clip_work, live_work
from runtime.live_windows import LiveWindows
from runtime.work import Call
from tests.fakes import spec

H200 = Card(gpu=GPUS["H200"])
LIVE = LiveWindows(size=8, overlap=1, lead_in=2)


class Known:
    """A machine on which every graph call takes a second of one core, every piece of the host's work a tenth."""

    name, cores, memory_bytes, takes_turns = "known", 2, None, False

    def graph(self, model, call):
        return Timed(seconds=float(call.times), core_s=float(call.times), bound="measured")

    def host(self, stage, pieces):
        return Timed(seconds=0.1 * pieces, core_s=0.1 * pieces, bound="measured")


def stage_s(prediction):
    return {stage.stage: stage.seconds for stage in prediction.stages}


def test_a_released_clip_of_100_frames_is_the_published_9_6_petaflop():
    prediction = predict(model_of_preset("hunyuanportrait"), clip_work(100, Sampling()), H200)
    denoise = next(stage for stage in prediction.stages if stage.stage == "denoise")
    # SPEC 14: 6 x 25 x 63.9 TFLOP; ours keeps some context projections (0.3 %)
    assert denoise.flops == pytest.approx(9.585e15, rel=4e-3)
    # and 112 frames of 3.043 TFLOP
    assert next(s for s in prediction.stages if s.stage == "decode").flops == pytest.approx(112 * 3.0428e12, rel=1e-4)


def test_a_call_that_computes_much_takes_its_arithmetic_at_the_attainable_part_of_the_peak():
    timed = H200.graph(model_of_preset("hunyuanportrait"), Call(graph="denoiser", units=2, times=1, frames=25))
    assert timed.bound == "arithmetic"
    assert timed.seconds == pytest.approx(2 * 32.0434e12 / (0.45 * 989e12) + LAUNCH_S, rel=1e-5)


def test_a_call_that_computes_little_takes_its_traffic():
    model = model_of_preset("pocket", precision="fp32")
    timed = H200.graph(model, Call(graph="step_embedding", units=1, times=1))
    assert timed.bound == "launch"  # 0.7 MB at 2.16 TB/s is 0.3 us
    # One row of one frame of 8 x 8 cells: 37157 x 64 + 309824 + 922304 elements, and 3.9 M weights, of four bytes
    small = model_of_preset("pocket", size=64, precision="fp32")
    timed = Card(gpu=replace(GPUS["H200"], bandwidth=1e9)).graph(
        small, Call(graph="denoiser", units=1, times=1, frames=1)
    )
    assert timed.bound == "memory"
    elements = 37157 * 64 + 309824 + 922304 + 3895844
    assert timed.seconds == pytest.approx(4 * elements / 0.45e9 + LAUNCH_S, rel=1e-6)


def test_half_precision_halves_the_traffic_and_takes_the_tensor_cores():
    call = Call(graph="denoiser", units=1, times=1, frames=25)
    half, whole = (model_of_preset("hunyuanportrait", precision=p) for p in ("fp16", "fp32"))
    assert whole.bytes(call) == 2 * half.bytes(call)
    assert H200.graph(whole, call).seconds / H200.graph(half, call).seconds == pytest.approx(989 / 67, rel=1e-3)
    # Encoder and motion networks stay fp32, as in every bundle.
    for graph in ("vae_encoder", "motion"):
        assert half.cost(graph).dtype == "float32"


@pytest.mark.parametrize(("precision", "peak"), [("fp16", 989e12), ("fp8", 1979e12), ("int8", 1979e12)])
def test_a_graph_is_as_fast_as_the_units_of_its_records_precision(precision, peak):
    flops = 32e12  # of a row
    promise = spec("denoiser", {"latents": (25, 4, 8, 8), "row_weights": ("rows",)}, {}, unit="rows")
    record = SimpleNamespace(precision=precision, flops={"call": flops}, weights_bytes=0, spec=promise)
    model = replace(model_of_preset("hunyuanportrait"), graphs={"denoiser": record})
    timed = H200.graph(model, Call(graph="denoiser", units=1, times=1, frames=25))
    assert timed.seconds == pytest.approx(flops / (0.45 * peak) + LAUNCH_S, rel=1e-6)
    # What lies between the products is half in all three.
    assert model.cost("denoiser").moved_bytes == model_of_preset("hunyuanportrait").cost("denoiser").moved_bytes


def test_a_graph_in_8_bits_is_its_plain_one_on_other_units():
    model = model_of_preset("hunyuanportrait")
    plain, eight = (Call(graph=name, units=1, times=1, frames=25) for name in ("denoiser", "denoiser_int8"))
    assert model.flops(eight) == model.flops(plain)
    assert (model.cost("denoiser_int8").dtype, model.cost("live_denoiser_fp8").dtype) == ("int8", "float8")


def test_a_graph_that_nobody_has_counted_asks_for_its_bundle():
    with pytest.raises(InputError, match="denoiser_outer is only a bundle that has it knows; add --bundle"):
        model_of_preset("hunyuanportrait").cost("denoiser_outer")
    promise = spec("denoiser_outer", {"latents": ("frames", 4), "row_weights": ("rows",)}, {}, unit="rows")
    record = SimpleNamespace(precision="fp16", flops={"call": 2e12}, weights_bytes=0, spec=promise)
    model = replace(model_of_preset("hunyuanportrait"), graphs={"denoiser_outer": record})
    assert model.cost("denoiser_outer", 8).flops == 8 * 2e12  # its record counts a frame


def test_in_a_clip_stages_follow_one_another():
    # 30 frames and padding are 60: 3 windows, 2 steps of 2 rows; chunks of 8 that hold frames 15 to 44 are 5.
    prediction = predict(model_of_preset("pocket"), clip_work(30, Sampling(steps=2)), Known())
    assert stage_s(prediction) == pytest.approx(
        {
            "portrait_crop": 0.1,
            "portrait": 2,
            "first_face": 0.1,
            "read": 3,
            "crop": 3,
            "motion": 2,
            "denoise": 1 + 6,
            "stitch": 6,
            "decode": 5,
            "write": 3,
        }
    )
    assert prediction.total_s == pytest.approx(31.2)
    assert prediction.frames_per_s == pytest.approx(30 / 31.2)
    assert prediction.window_s == pytest.approx((7 + 6) / 3)
    # All but writing, the windows that the first chunk does not need, and four of five chunks. At the second step
    # windows begin at -3, 19 and 41: the first one holds frames 8 to 15; of the first step it needs those at 0 and 44.
    assert prediction.latency_s == pytest.approx(31.2 - 3 - (7 + 6) * 3 / 6 - 4)


def test_in_a_stream_a_window_takes_as_long_as_its_slowest_stage_or_all_cores_together():
    work = live_work(100, Sampling(steps=4), LIVE)
    assert work.windows == 15
    model = model_of_preset("pocket")
    # A window: motion 1, denoise 4 and stitch 4, decode 1; host 3 x 0.1 x 100 / 15 = 2: 12 of two cores. Once in all
    # of them: the embedding of the steps; in all but the first: joining it to the one before.
    plenty = type("Plenty", (Known,), {"cores": 100})()
    besides = 1 / 15 + 14 / 15
    assert predict(model, work, plenty).window_s == pytest.approx(8 + besides)
    assert predict(model, work, Known()).window_s == pytest.approx(8 + besides)  # cores: 6
    one = type("One", (Known,), {"cores": 1})()
    assert predict(model, work, one).window_s == pytest.approx(12 + besides)
    assert predict(model, work, one).frames_per_s == pytest.approx(7 / (12 + besides))


@pytest.mark.parametrize("memory_bytes", [1, None])
def test_a_card_and_a_cpu_of_few_cores_are_shared_by_all_graphs_of_a_stream(memory_bytes):
    shared = type("Shared", (Known,), {"cores": 100, "memory_bytes": memory_bytes, "takes_turns": True})()
    prediction = predict(model_of_preset("pocket"), live_work(100, Sampling(steps=4), LIVE), shared)
    assert prediction.window_s == pytest.approx(1 + 8 + 1 + 1 / 15 + 14 / 15)


def test_a_streams_frame_waits_for_its_window_and_is_made_then():
    prediction = predict(model_of_preset("pocket"), live_work(100, Sampling(steps=1), LIVE), Known(), rate=10)
    # Six frames of 0.1 s are still to come; a crop; motion, denoise, stitch, join, decode.
    assert prediction.latency_s == pytest.approx(0.6 + 0.1 + 4 + 1 / 15 + 14 / 15)


def test_the_hosts_work_is_in_no_number_where_nobody_measured_it():
    prediction = predict(model_of_preset("pocket"), clip_work(30, Sampling()), H200)
    assert prediction.missing == ("portrait_crop", "first_face", "read", "crop", "write")
    assert prediction.total_s == pytest.approx(sum(s.seconds for s in prediction.stages if s.seconds is not None))


def test_a_live_window_needs_the_decoders_activations_beside_the_denoisers():
    model = model_of_preset("hunyuanportrait")
    work = live_work(100, Sampling(steps=1), LIVE)

    def most(stage):
        return max(call.units * model.of_call(call).held_bytes for call in work.graphs[stage])

    assert most("decode") > 0
    assert most("denoise") >= max(most(stage) for stage in work.graphs if stage != "decode")
    assert predict(model, work, H200).memory.activations == pytest.approx(most("denoise") + most("decode"))


def test_memory_grows_with_a_clip_by_its_tokens_alone_once_the_wave_is_as_long_as_its_steps_make_it():
    model = model_of_preset("hunyuanportrait")
    short, long, longer = (predict(model, clip_work(n, Sampling()), H200).memory for n in (100, 1000, 10_000))
    assert (short.weights, short.activations, short.context) == (long.weights, long.activations, long.context)
    # Per frame: 64 x 1024 fp16 tokens, and a latent of 4 x 64 x 64 fp32 while it is held; four windows of those.
    tokens, latent = 64 * 1024 * 2, 4 * 4096 * 4
    assert short.clip == 130 * tokens + (130 + 4 * 25) * latent  # all frames are in the first windows
    assert longer.clip - long.clip == pytest.approx(9000 * tokens, rel=0.001)
    assert long.clip < 1030 * tokens + (700 + 4 * 25) * latent


def test_full_weights_are_the_published_sizes():
    memory = predict(model_of_preset("hunyuanportrait"), clip_work(100, Sampling()), H200).memory
    # SPEC 14, fp16: UNet 3.15 GB, appearance 0.627, decoder 63.6 M; in fp32 encoder 34.2 M, motion networks 101.5 M
    assert memory.weights == pytest.approx(3.15e9 + 0.627e9 + 2 * 63.6e6 + 4 * (34.2e6 + 101.5e6), rel=0.01)


def test_a_streams_memory_does_not_depend_on_its_length():
    model = model_of_preset("hunyuanportrait")
    short, long = (predict(model, live_work(n, Sampling(steps=2), LIVE), H200).memory for n in (100, 100_000))
    assert short == long


def test_deep_features_are_kept_for_a_window_and_in_a_clip_for_every_held_frame():
    """Full size, fp16: 320 channels of 64 x 64 cells, two rows, 130 frames, all held, and a window of 25."""
    from engines.manifest import GraphRecord
    from export.hunyuanportrait.presets import HUNYUANPORTRAIT
    from export.hunyuanportrait.reuse_graphs import reuse_graphs

    made = reuse_graphs(HUNYUANPORTRAIT.architecture, size=512, frames=25, half=True)
    records = {
        name: GraphRecord(name=name, key="0" * 12, spec=graph.spec, precision="fp16", flops={"call": 1})
        for name, graph in made.items()
    }
    model = replace(model_of_preset("hunyuanportrait"), graphs=records)
    reused = clip_work(100, Sampling(deep_every=3), denoiser="denoiser_outer", inner="denoiser_inner")
    plain = replace(reused, graphs={**reused.graphs, "denoise": clip_work(100, Sampling()).graphs["denoise"]}, kept="")
    memory, without = (predict(model, work, H200).memory.clip for work in (reused, plain))
    assert memory - without == (130 + 25) * 2 * 320 * 4096 * 2
