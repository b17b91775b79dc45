"""The whole program as an application runs it against its golden cases: crops, exported graphs, loop, paste-back.

A bundle's own graphs, the black pose folded in; recorded detections and noise; ArcFace faked as while recording.
"""

from __future__ import annotations

import numpy as np

from export.hunyuanportrait.graphs import bundle_graphs
from hp_trt.faces.face import largest_face
from hp_trt.hunyuanportrait.crops import reference_image
from hp_trt.hunyuanportrait.driving import DrivingCrops
from hp_trt.hunyuanportrait.geometry import corners, motion_ids, portrait_box
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.paste import PasteBack
from hp_trt.media.pixels import crop_resized
from runtime.decode import chunks, decode
from runtime.hunyuanportrait.encode import encode_motion, encode_portrait
from runtime.hunyuanportrait.memory_bank import MotionBank
from runtime.hunyuanportrait.sampling import Sampling
from tests.export.hunyuanportrait.case_networks import CaseNetworks, architecture_of
from tests.golden_cases import LOOP_TOLERANCE, Case, check, golden_cases, load_case
from tests.golden_program import (
    RecordedFaces,
    driving_faces,
    driving_frames,
    id_embedding,
    motion_px,
    portrait_faces,
)
from tests.runtime.hunyuanportrait.released_order import denoise, parts_of
from tests.runtime.raw_frames import WithFrames


def sampling_of(case: Case) -> Sampling:
    options = case.options
    same = ("strength", "window", "overlap", "pad_frames", "noise_aug_strength", "fps", "motion_bucket_id")
    return Sampling(
        **{name: options[name] for name in same},
        steps=options["num_inference_steps"],
        shift=options["shift_offset"],
        guidance_appearance=tuple(options["guidance_appearance"]),
        guidance_motion=tuple(options["guidance_motion"]),
        decode_chunk=options["decode_chunk_size"],
        scaling_factor=case.config["vae"]["scaling_factor"],
    )


def same_graphs(fact):
    return [fact["config"], [fact["options"][name] for name in ("window", "crop_size", "motion_scale")]]


@golden_cases(kind="program", group=same_graphs)
def test_program_on_exported_graphs_matches_its_golden_case(case_name, onnx_cache, backend):
    case = load_case(case_name)
    inputs, options, sampling = case.inputs, case.options, sampling_of(case)
    crop_px = options["crop_size"]
    architecture = architecture_of(case.config)
    networks = CaseNetworks(architecture, case.weight_prefix, motion_scale=options["motion_scale"])
    graphs = bundle_graphs(
        architecture,
        size=crop_px,
        frames=sampling.window,
        motion_px=motion_px(case),
        decode_chunk=sampling.decode_chunk,
    )
    sessions = {name: networks.session(graph, onnx_cache, backend) for name, graph in graphs.items()}

    portrait = portrait_crop(
        inputs["source_image"],
        portrait_faces(case),
        crop_px=crop_px,
        appearance_px=architecture.appearance["image_hw"][0],
    )
    embedding = id_embedding(case, portrait.arcface)
    identity = encode_portrait(
        backend,
        sessions,
        image=portrait.reference[None],
        appearance_image=portrait.transformed[None],
        id_embedding=embedding[None],
        noise_aug=inputs["noise_aug"][None],
        noise_aug_strength=sampling.noise_aug_strength,
    )

    detections, frames = driving_faces(case), driving_frames(case)
    first = largest_face(detections[0])
    cropper = DrivingCrops(RecordedFaces(*detections), first, crop_px=crop_px, size=motion_px(case))
    crops = list(cropper.crops(frames))
    face_images, pose_images, landmarks = (
        np.stack([getattr(crop, name) for crop in crops]) for name in ("face_image", "pose_image", "landmarks")
    )
    ids, bank = [], MotionBank(backend)
    for start in range(0, len(frames), sampling.window):
        group = slice(start, start + sampling.window)
        ids.append(motion_ids(landmarks[group]))
        bank.append(
            encode_motion(
                backend,
                sessions["motion"],
                face_images=face_images[group],
                pose_images=pose_images[group],
                head_id=ids[-1][0],
                exp_id=ids[-1][1],
            )
        )
    motion_tokens = bank.finish(sampling.pad_frames)

    latents = denoise(
        backend,
        sessions,
        identity=identity,
        motion_tokens=motion_tokens,
        noise=inputs["initial_noise"],
        sampling=sampling,
    )
    decoder = WithFrames(sessions["vae_decoder"], backend)
    numbers = {"frames": latents.shape[0], "pad_frames": sampling.pad_frames, "chunk": sampling.decode_chunk}
    made = list(decode(backend, decoder, parts_of(backend, latents), **numbers))
    assert [index for index, _ in made] == list(range(len(frames)))
    raw = np.concatenate(decoder.chunks)[sampling.pad_frames - chunks(**numbers)[0].start :][: len(frames)]

    paste = PasteBack(inputs["source_image"], portrait.box)
    pose_box = portrait_box(corners(first.box), height=frames.shape[1], width=frames.shape[2])
    results = {
        "crop_bbox": np.array(portrait.box),
        "reference_image": portrait.reference,
        "transformed_image": portrait.transformed,
        "arcface_image": portrait.arcface.transpose(1, 2, 0),
        "arcface_input": portrait.arcface,
        "id_embedding": embedding,
        "face_images": face_images,
        "pose_images": pose_images,
        "driven_image": np.stack([reference_image(crop_resized(frame, pose_box, crop_px)) for frame in frames]),
        "landmarks_selected": landmarks,
        "motion_ids": np.array(ids),
        "motion_tokens": backend.download(motion_tokens),
        "video": np.clip(raw * 0.5 + 0.5, 0, 1),
        "pasted_frames": np.stack([paste(pixels) for _, pixels in made]),
    }
    check(case, results, LOOP_TOLERANCE)
