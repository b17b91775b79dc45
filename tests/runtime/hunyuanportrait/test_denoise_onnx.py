"""The same loop on ONNX Runtime and on the fake backend: nothing in it knows which one it runs on."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.onnx_backend import OnnxBackend
from runtime.decode import decode
from runtime.hunyuanportrait.memory_bank import Identity, MotionBank
from runtime.hunyuanportrait.sampling import Sampling
from tests.engines.test_onnx_backend import save
from tests.fakes import FakeBackend, decoder_spec
from tests.runtime.hunyuanportrait.fake_networks import fake_clip, fake_sessions
from tests.runtime.hunyuanportrait.released_order import denoise, parts_of

WINDOW = 4

EINSUMS = {
    "denoiser": [
        ("Mul", ["latents", "c_in"], "scaled", {}),
        ("Einsum", ["row_weights", "image_latents"], "seen", {"equation": "r,rcij->cij"}),
        ("Einsum", ["row_weights", "motion_tokens"], "moved", {"equation": "r,rfmd->f"}),
        ("Einsum", ["row_weights", "image_tokens"], "known", {"equation": "r,rnd->"}),
        ("Einsum", ["step_embedding"], "told", {"equation": "se->"}),
        ("Einsum", ["moved", "scaled"], "product", {"equation": "f,fcij->fcij"}),
        ("Sum", ["scaled", "product"], "both", {}),
        ("Sum", ["both", "seen"], "with_image", {}),
        ("Sum", ["with_image", "known"], "with_tokens", {}),
        ("Sum", ["with_tokens", "told"], "raw", {}),
        ("Tanh", ["raw"], "velocity", {}),
    ],
    "stitch": [
        ("Gather", ["velocities", "slots"], "picked", {}),
        ("Einsum", ["weights", "picked"], "mean", {"equation": "tn,tncij->tcij"}),
        ("Mul", ["mean", "b"], "moved", {}),
        ("Mul", ["latents", "a"], "kept", {}),
        ("Sum", ["kept", "moved"], "next_latents", {}),
    ],
    "step_embedding": [
        ("Einsum", ["timesteps", "added_time_ids"], "product", {"equation": "s,i->s"}),
        ("Einsum", ["product", "product"], "square", {"equation": "s,s->s"}),
        ("Unsqueeze", ["square", "last_axis"], "column", {}),
        ("Expand", ["column", "shape"], "grown", {}),
        ("Sin", ["grown"], "embeddings", {}),
    ],
}


def in_numpy(name):
    """The same graph, node by node."""
    operators = {"Mul": np.multiply, "Sum": np.add, "Tanh": np.tanh, "Sin": np.sin}

    def formula(**values):
        if name == "step_embedding":
            square = (values["timesteps"] * values["added_time_ids"].sum()) ** 2
            return {"embeddings": np.sin(np.repeat(square[:, None], 6, axis=1)).astype(np.float32)}
        for kind, inputs, output, attributes in EINSUMS[name]:
            arrays = [values[i] for i in inputs]
            if kind == "Gather":
                values[output] = arrays[0][arrays[1]]
                continue
            values[output] = np.einsum(attributes["equation"], *arrays) if attributes else operators[kind](*arrays)
        return {output: values[output].astype(np.float32)}

    return formula


def clip_on(backend, sessions, sampling):
    clip = fake_clip(9)
    bank = MotionBank(backend)
    for group in np.split(clip["motion_tokens"], [4, 8]):
        bank.append(backend.upload(group))
    motion = bank.finish(sampling.pad_frames)
    identity = Identity(
        image_tokens=backend.upload(clip["image_tokens"]),
        image_latents=backend.upload(clip["image_latents"]),
        start_latents=clip["start_latents"],
    )
    noise = np.random.default_rng(0).standard_normal((motion.shape[0], 4, 3, 3), dtype=np.float32)
    latents = denoise(backend, sessions, identity=identity, motion_tokens=motion, noise=noise, sampling=sampling)
    return backend.download(latents)


@pytest.mark.parametrize("guidance", [(2.0, 2.0), (1.0, 3.0)])
def test_the_loop_gives_on_onnx_runtime_what_it_gives_on_numpy(tmp_path, guidance):
    sampling = Sampling(steps=3, window=WINDOW, overlap=1, pad_frames=2, guidance_appearance=guidance)
    onnx_backend, fake = OnnxBackend(threads=1), FakeBackend()
    fakes = fake_sessions(fake, window=WINDOW)
    sessions = {}
    for name, nodes in EINSUMS.items():
        made = [helper.make_node(kind, i, [o], **attributes) for kind, i, o, attributes in nodes]
        axis = helper.make_tensor("last_axis", 7, [1], [1])
        shape = helper.make_tensor("shape", 7, [2], [1, 6])
        constants = [axis, shape] if name == "step_embedding" else []
        path = save(tmp_path / f"{name}.onnx", fakes[name].spec, made, *constants)
        sessions[name] = onnx_backend.load(fakes[name].spec, path)
        fakes[name] = fake.session(fakes[name].spec, in_numpy(name))
    ours = clip_on(onnx_backend, sessions, sampling)
    expected = clip_on(fake, fakes, sampling)
    # Two orders of summation in float32; the last step leaves latents of order 1 (2e-6 was seen)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert ours.tobytes() == clip_on(onnx_backend, sessions, sampling).tobytes()


def test_frames_are_decoded_on_onnx_runtime_into_one_buffer(tmp_path):
    backend = OnnxBackend(threads=1)
    decoder = decoder_spec("vae_decoder", (3, 2, 2), 2, 2, most=8)
    nodes = [
        helper.make_node("Neg", ["latents"], ["frames"]),
        helper.make_node("Transpose", ["frames"], ["turned"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["turned"], ["pixels"], to=TensorProto.UINT8),
        helper.make_node("ReduceL1", ["frames", "sides"], ["sums"], keepdims=0),
    ]
    sides = helper.make_tensor("sides", TensorProto.INT64, [3], [1, 2, 3])
    session = backend.load(decoder, save(tmp_path / "d.onnx", decoder, nodes, sides))
    latents = -np.random.default_rng(0).uniform(0, 255, (19, 3, 2, 2)).astype(np.float32)
    frames = list(
        decode(backend, session, parts_of(backend, backend.upload(latents)), frames=19, pad_frames=3, chunk=4)
    )

    np.testing.assert_array_equal(
        np.stack([f for _, f in frames]), (-latents[3:16]).astype(np.uint8).transpose(0, 2, 3, 1)
    )
