"""The optimised loop on exported graphs against the golden loops of the released program."""

from __future__ import annotations

import numpy as np
import torch

from export.hunyuanportrait.graphs import bundle_graphs
from runtime import schedule
from runtime.decode import decode, to_uint8
from runtime.hunyuanportrait.encode import encode_portrait
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows, shift_at
from tests.export.hunyuanportrait.case_networks import CaseNetworks, architecture_of
from tests.golden_cases import LOOP_TOLERANCE, SHIPPED, Case, check, discover, golden_cases, load_case
from tests.runtime.hunyuanportrait.released_order import denoise, parts_of
from tests.runtime.raw_frames import WithFrames


def test_the_shipped_folder_has_golden_loops():
    assert discover(kind="loop", folder=SHIPPED)


def same_graphs(fact):
    return [fact["config"], [fact["options"][name] for name in ("window", "height", "width", "motion_scale")]]


def sampling_of(case: Case) -> Sampling:
    options = case.options
    same = ("strength", "window", "overlap", "noise_aug_strength", "fps", "motion_bucket_id")
    return Sampling(
        **{name: options[name] for name in same},
        steps=options["num_inference_steps"],
        shift=options["shift_offset"],
        guidance_appearance=tuple(options["guidance_appearance"]),
        guidance_motion=tuple(options["guidance_motion"]),
        decode_chunk=options["decode_chunk_size"],
        pad_frames=0,  # a golden loop's tokens are padded already
        scaling_factor=case.config["vae"]["scaling_factor"],
    )


@golden_cases(kind="loop", group=same_graphs)
@torch.no_grad()
def test_loop_on_exported_graphs_matches_its_golden_case(case_name, onnx_cache, backend):
    case = load_case(case_name)
    inputs, options, sampling = case.inputs, case.options, sampling_of(case)
    frames, queries, width = inputs["motion_tokens"].shape
    refiner = {"num_queries": queries, "output_dim": width - 6}  # a loop is given its tokens: no more is asked of it
    architecture = architecture_of(case.config, motion_refiner=refiner)
    networks = CaseNetworks(architecture, case.weight_prefix, motion_scale=options["motion_scale"])
    graphs = bundle_graphs(
        architecture,
        size=(options["height"], options["width"]),
        frames=sampling.window,
        motion_px=64,  # of the motion graph, which a loop does not run
        decode_chunk=sampling.decode_chunk,
        pose_input=True,
    )
    sessions = {n: networks.session(g, onnx_cache, backend) for n, g in graphs.items() if n != "motion"}
    poses = networks("pose_guider")(torch.from_numpy(inputs["pose_images"])).numpy()

    identity = encode_portrait(
        backend,
        sessions,
        image=inputs["reference_image"][None],
        appearance_image=inputs["transformed_image"][None],
        id_embedding=inputs["id_embedding"][None],
        noise_aug=inputs["noise_aug"][None],
        noise_aug_strength=sampling.noise_aug_strength,
    )
    after_step: list[np.ndarray] = []
    latents = denoise(
        backend,
        sessions,
        identity=identity,
        motion_tokens=backend.upload(inputs["motion_tokens"]),
        noise=inputs["initial_noise"],
        sampling=sampling,
        pose_features=backend.upload(poses),
        on_step=lambda step, seen: after_step.append(seen.copy()),
    )
    decoder = WithFrames(sessions["vae_decoder"], backend)
    decoded = list(
        decode(backend, decoder, parts_of(backend, latents), frames=frames, pad_frames=0, chunk=sampling.decode_chunk)
    )
    assert [index for index, _ in decoded] == list(range(frames))

    steps, layout = sampling.executed_steps, {"size": sampling.window, "overlap": sampling.overlap}
    shifts = [shift_at(step, shift=sampling.shift, size=sampling.window) for step in range(steps)]
    sigmas = schedule.executed(schedule.sigmas(sampling.steps), steps)
    results = {
        "window_starts": np.array([Windows(frames, **layout, shift=shift).starts for shift in shifts]),
        "window_frames": np.array([Windows(frames, **layout, shift=shift) for shift in shifts]),
        "timesteps": schedule.timesteps(sigmas),
        "added_time_ids": np.array([sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength], np.float32),
        "image_tokens": backend.download(identity.image_tokens)[0],
        "image_latents": backend.download(identity.image_latents)[0],
        "reference_latents_scaled": sampling.scaling_factor * identity.start_latents[0],
        "pose_features": poses,
        "latents_after_step": np.stack(after_step),
        "final_latents": backend.download(latents),
        "decoded": np.concatenate(decoder.chunks),
    }
    np.testing.assert_array_equal([pixels for _, pixels in decoded], [*map(to_uint8, results["decoded"])])
    check(case, results, LOOP_TOLERANCE)
