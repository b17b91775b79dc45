"""The second model at one size with one engine family: plans of whole bundles, a clip of speech, its denoiser's speed.

A bundle's plans are built and each compared with its graph as a user's are, by `export.plans.build_plans`. The clip is
synthetic, from samples to frames through our runtime, and is held against ONNX Runtime's in float32 on the CPU, whose
process comes first and exports what the others take. Every family has a process of its own.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines import families
from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.families import ONNXRUNTIME
from engines.spec import NetworkSpec
from export.build import BuildConfig, build_bundle
from export.graphs.build_graph import SharedNetworks
from export.graphs.flops import graph_flops
from export.graphs.graph import Graph
from export.graphs.trace import export_onnx
from export.models import find_model
from export.plans.build_plans import build_plans
from export.plans.plan_steps import PlanConfig
from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import audio_tokens
from tests.gpu.artefacts import Artefact, run_announced
from tests.gpu.comparing import difference, keep, read
from tests.gpu.device_memory import PeakMemory
from tests.gpu.lines import Found, Lines, NotRun, Step
from tests.gpu.part_family import open_backend, seconds_of
from tests.gpu.plans import build
from tests.gpu.talk_sizes import ROLES, TALKS, Talk

SAMPLES_PER_FRAME = 640


def tell_talk(lines: Lines, family: str, size: str, device: str, work: Path) -> None:
    talk, section = TALKS[size], f"talk, {family}, {size}"
    if size == "mini":
        know_tiny()
    if talk.precisions:
        lines.run_all(section, list(Bundles(talk, family, device, work).steps()))
    else:
        tell_denoiser(lines, section, talk, family, device, work)


def know_tiny() -> None:
    """From here on, builds take the preset that the check is tried with. A GPU's machine need not have pytest."""
    import pytest

    from tests.export.hallo2 import tiny

    tiny.make_known(pytest.MonkeyPatch(), tiny.TINY_TALK)


class Bundles:
    """The lines of one family, of a bundle in each precision."""

    def __init__(self, talk: Talk, family: str, device: str, work: Path) -> None:
        self._talk, self._family, self._device, self._work = talk, family, device, work

    def steps(self) -> Iterator[Step]:
        for precision in self._talk.precisions:
            if self._family == ONNXRUNTIME.name:
                yield Step(f"export, {precision}", partial(self.export, precision))
            else:
                yield Step(f"plans, {precision}", partial(self.plans, precision))
            yield Step(f"clip, {precision}", partial(self.clip, precision))

    def export(self, precision: Any) -> Found:
        start = time.perf_counter()
        made = build_bundle(
            BuildConfig(preset=self._talk.preset, bundle=self._bundle(precision), precision=precision, parity=False)
        )
        seconds = time.perf_counter() - start
        return Found(text=f"{len(made.manifest.graphs)} graphs in {seconds:.1f} s", facts={"seconds": seconds})

    def plans(self, precision: str) -> Found:
        """Raises ParityError for an engine that is not what its graph is."""
        start, bundle = time.perf_counter(), self._exported(precision)
        compared = importlib.util.find_spec("polygraphy") is not None
        config = PlanConfig(family=self._family, parity=compared)
        made = build_plans(bundle.path, config).manifest.engines[config.target().folder].plans
        seconds, worst = time.perf_counter() - start, {n: p.parity["rms"] for n, p in made.items() if p.parity}
        said = "; ".join(f"{name} {rms:.1e}" for name, rms in worst.items())
        return Found(
            text=f"{len(made)} plans in {seconds:.1f} s; rms against their graphs: "
            + (said or "not compared, Polygraphy is not installed"),
            facts={"seconds": seconds, "rms": worst, "attention": {n: p.attention["text"] for n, p in made.items()}},
        )

    def clip(self, precision: str) -> Found:
        """The second time is measured."""
        bundle = self._exported(precision)
        backend = open_backend(self._family, "cpu" if self._family == ONNXRUNTIME.name else self._device)
        sessions: dict[str, Session] = {}
        try:
            for role, name in ROLES.items():
                sessions[role] = backend.load(bundle.manifest.graphs[name].spec, self._engine(bundle, name))
            speak(backend, sessions, bundle, self._talk)
            with PeakMemory(self._device) as memory:
                start = time.perf_counter()
                frames = speak(backend, sessions, bundle, self._talk)
                seconds = time.perf_counter() - start
        finally:
            for session in sessions.values():
                session.close()
            backend.close()
        reference = self._work / "clip.npz"
        if self._family == ONNXRUNTIME.name and precision == "fp32":
            keep(reference, {}, frames)
        if not reference.exists():
            raise NotRun("there is nothing to compare with: ONNX Runtime's clip in float32 was not made")
        found = difference("talk_vae_decoder", frames, read(reference)[1])
        return Found(
            text=f"{len(frames) / seconds:.4g} frames/s ({len(frames)} frames, {self._talk.steps} steps, "
            f"{seconds:.2f} s){memory}; against ONNX Runtime in float32: {found}",
            facts={"frames_per_s": len(frames) / seconds, "frames": len(frames), "seconds": seconds, **vars(found)},
            missed=found.missed,
        )

    def _bundle(self, precision: str) -> Path:
        return self._work / f"bundle-{precision}"

    def _exported(self, precision: str) -> Bundle:
        if not (self._bundle(precision) / "manifest.json").exists():
            raise NotRun("its graphs were not exported: see ONNX Runtime's lines")
        return Bundle.open(self._bundle(precision), family="")

    def _engine(self, bundle: Bundle, name: str) -> Path:
        if not families.find(self._family).has_plans:
            return bundle.model_path(name)
        sets = [engines for engines in bundle.manifest.engines.values() if engines.target.family == self._family]
        if not sets:
            raise NotRun("its plans were not built")
        return bundle.path / sets[0].plans[name].main


def speak(backend: Backend, sessions: Mapping[str, Session], bundle: Bundle, talk: Talk) -> np.ndarray:
    """The frames (N, S, S, 3) in [-1, 1] of noise that speaks noise: nobody is drawn, and every graph is run."""
    draw, manifest = np.random.default_rng(0), bundle.manifest
    denoiser, side = sessions["denoiser"].spec, manifest.size[0]
    sampling = Sampling.from_manifest(manifest.sampling, steps=talk.steps, guidance=3.5)  # both halves count
    masks = [t.dims for t in denoiser.inputs if t.name.startswith("mask_")]
    region = np.zeros((3, side, side), np.float32)
    region[:, side // 4 : -side // 4, side // 4 : -side // 4] = 1
    conditions = encode_conditions(
        backend,
        sessions,
        picture=draw.uniform(-1, 1, (1, 3, side, side)).astype(np.float32),
        embedding=draw.standard_normal((1, 512), np.float32),
        face_region=region,
        masks=[draw.uniform(0, 1, dims).astype(np.float32) for dims in masks],
        motion_frames=manifest.geometry["motion_frames"],
        scaling_factor=sampling.scaling_factor,
    )
    samples = draw.uniform(-0.5, 0.5, talk.clips * manifest.frames * SAMPLES_PER_FRAME).astype(np.float32)
    tokens = audio_tokens(backend, sessions, [samples], clip=manifest.frames)
    made = chain(backend, sessions, conditions=conditions, audio_tokens=tokens, sampling=sampling)
    return np.stack([frame for clip in made for frame in clip.frames]) / np.float32(127.5) - np.float32(1)


def tell_denoiser(lines: Lines, section: str, talk: Talk, family: str, device: str, work: Path) -> None:
    """Its export, by ONNX Runtime's process, or its plan; then a step, in ms and TFLOP/s."""
    model = find_model(talk.preset)
    graphs = model.graphs(size=model.preset.size, frames=model.preset.frames, half=True)
    graph = graphs[ROLES["denoiser"]]
    exported, plan = Artefact(work, graph.name), Artefact(work, graph.name, family)
    made = exported if family == ONNXRUNTIME.name else plan
    made.forget_other()
    call = partial(_export, graph, model, exported) if made is exported else partial(build, plan, exported, "")
    if not made.done:
        run_announced(lines, section, "export" if made is exported else "plan", call, made)
    if family != ONNXRUNTIME.name or device == "cuda":
        lines.run(section, "step", partial(_step, graph, model, family, device, exported, made))


def _export(graph: Graph, model: Any, artefact: Artefact) -> Found:
    start, source = time.perf_counter(), model.open_weights(None, None)
    networks = SharedNetworks(lambda name: model.load(name, source.state(name)))
    module = graph.make(networks).eval().requires_grad_(False).half()
    networks.keep(set())
    artefact.path.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(module, graph.spec, graph.example(graph.opt_sizes()), artefact.path)
    seconds, size_bytes = time.perf_counter() - start, artefact.size_bytes()
    artefact.announce(spec=graph.spec.to_json())
    return Found(text=f"{size_bytes / 1e6:.4g} MB in {seconds:.1f} s", facts={"seconds": seconds, "bytes": size_bytes})


def _step(graph: Graph, model: Any, family: str, device: str, exported: Artefact, engine: Artefact) -> Found:
    facts = exported.wait(0)
    engine.wait(0)
    backend = open_backend(family, device)
    session = backend.load(NetworkSpec.from_json(facts["spec"]), engine.path)
    try:
        given = {name: tensor.numpy() for name, tensor in graph.example(graph.opt_sizes()).items()}
        with PeakMemory(device) as memory:
            seconds, clock = seconds_of(backend, session, given)
        made = session.run({name: backend.upload(array) for name, array in given.items()})
        finite = bool(np.isfinite(backend.download(made["velocity"])).all())
    finally:
        session.close()
        backend.close()
    median_s, flops = statistics.median(seconds), graph_flops(graph, model.build)["call"]
    return Found(
        text=f"{median_s * 1e3:.4g} ms (median of {len(seconds)}) by {clock}, {flops / 1e12:.4g} TFLOP, "
        f"{flops / median_s / 1e12:.4g} TFLOP/s{memory}",
        facts={"median_s": median_s, "repeats": len(seconds), "clock": clock, "flops": flops},
        missed="" if finite else "NaN or infinity",
    )
