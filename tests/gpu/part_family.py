"""One engine family at one size: every graph against the reference, its times, and a whole clip through our runtime.

Loads no torch: what it is compared with was left by the part that does. Times of plans are events' on their stream;
ONNX Runtime's are the wall clock's, copies to and from the host included, because that is how our runtime uses it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines import families
from engines.backend import Backend, Session
from engines.spec import NetworkSpec
from runtime.decode import chunks, decode
from runtime.hunyuanportrait.denoise import ClipLoop
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.live_decode import LiveDecoder
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from tests.gpu.artefacts import Artefact
from tests.gpu.comparing import difference, read
from tests.gpu.conditions import ClipInputs
from tests.gpu.device_memory import PeakMemory
from tests.gpu.lines import Found, Lines, NotRun, Step
from tests.gpu.sizes import OF_A_CLIP, OF_LIVE, TIMED, Size

REPEATS, AT_MOST_S = 9, 8.0
LIVE_WINDOW, WARM_WINDOWS = 4, 4  # the first window brings more frames; a shape's second run is captured


def tell_family(lines: Lines, family: str, size: Size, device: str, work: Path, graphs: tuple[str, ...]) -> None:
    part = FamilyPart(lines, family, size, device, work)
    steps = [Step("open", part.open)]
    for name in graphs:
        steps.append(Step(f"parity, {name}", partial(part.parity, name)))
        if name in TIMED:
            steps.append(Step(TIMED[name], partial(part.time, name)))
    if family == "onnxruntime" and device == "cuda" and "denoiser" in graphs:
        from tests.gpu.onnx_on_device import run_on_device

        given = Artefact(work, "denoiser"), work / "denoiser" / "reference.npz"
        for kind, how in (
            ("bound on the device", {}),
            ("as a CUDA graph", {"cuda_graph": True}),
            ("bound on the device, with ONNX Runtime's own options", {"defaults": True}),
        ):
            steps.append(Step(f"step, {kind}", partial(run_on_device, *given, **how)))
    if set(OF_A_CLIP) <= set(graphs):
        steps.append(Step("clip", part.clip))
    if set(OF_LIVE) <= set(graphs):
        steps += [
            Step(f"live, {steps_of} step{'s' * (steps_of > 1)}", partial(part.live, steps_of)) for steps_of in (1, 4)
        ]
    lines.run_all(part.section, steps)
    part.close()


class FamilyPart:
    """The backend, the sessions that opened, and what is measured with them."""

    def __init__(
        self,
        lines: Lines,
        family: str,
        size: Size,
        device: str,
        work: Path,
        *,
        backend: Backend | None = None,
        sessions: Mapping[str, Session] | None = None,
    ) -> None:
        """`backend`, `sessions`: those that are open already; by default `open` opens the one, `session` the others."""
        self.section = f"{family}, {size.name}"
        self._lines, self._family, self._size, self._device, self._work = lines, family, size, device, work
        self._backend = backend
        self.sessions = dict(sessions or {})

    def open(self) -> Found:
        start = time.perf_counter()
        self._backend = open_backend(self._family, self._device)
        return Found(text=f"{self._backend.device} in {time.perf_counter() - start:.1f} s")

    def parity(self, name: str) -> Found:
        backend, session = self._need_backend(), self.session(name)
        try:
            inputs, expected = read(self._work / name / "reference.npz")
        except FileNotFoundError as error:
            raise NotRun("there is nothing to compare with: see the reference's line") from error
        made = session.run({key: backend.upload(array) for key, array in inputs.items()})
        output = backend.download(made[session.spec.outputs[0].name])
        found = difference(name, output, expected)
        return Found(text=str(found), facts={"graph": name, **vars(found)}, missed=found.missed)

    def time(self, name: str) -> Found:
        """Of the sizes to be fastest at: two rows, a full chunk."""
        backend, session = self._need_backend(), self.session(name)
        inputs, _ = read(self._work / name / "reference.npz")
        chunk = self._size.sampling.decode_chunk
        given = {k: v[:chunk] if name == "vae_decoder" else v for k, v in inputs.items()}
        with PeakMemory(self._device) as memory:
            seconds, clock = seconds_of(backend, session, given)
        median_s = statistics.median(seconds)
        said = f"{median_s * 1e3:.4g} ms (median of {len(seconds)}, {min(seconds) * 1e3:.4g} to "
        return Found(
            text=said + f"{max(seconds) * 1e3:.4g}) by {clock}{memory}",
            facts={"median_s": median_s, "repeats": len(seconds), "clock": clock, "peak_bytes": memory.peak_bytes},
        )

    def clip(self) -> Found:
        """Synthetic tokens in, frames on the host out, through `runtime.hunyuanportrait.denoise` and `runtime.decode`;
        the second time is measured."""
        sampling, frames = self._size.sampling, self._size.clip_frames
        for name in OF_A_CLIP:
            self.session(name)
        inputs = ClipInputs.of(self.sessions["denoiser"].spec, sampling, frames=frames)
        self._animate(inputs, Stages())
        spans = getattr(self._need_backend(), "spans", None)
        if spans is not None:
            spans()
        stages, start = Stages(), time.perf_counter()
        with PeakMemory(self._device) as memory:
            made = self._animate(inputs, stages)
        seconds = time.perf_counter() - start
        if spans is not None:
            timeline = [(span.name, span.stream, span.start_s, span.seconds) for span in spans()]
        else:
            timeline = [(span.stage, "host", span.start_s, span.seconds) for span in stages.spans]
        first = min((start_s for _, _, start_s, _ in timeline), default=0.0)
        return Found(
            text=f"{made / seconds:.4g} frames/s ({made} frames, {sampling.steps} steps, {seconds:.2f} s){memory}",
            facts={
                "frames": made,
                "steps": sampling.steps,
                "seconds": seconds,
                "frames_per_s": made / seconds,
                "peak_bytes": memory.peak_bytes,
                "timeline": [[name, stream, start_s - first, s] for name, stream, start_s, s in timeline],
            },
        )

    def live(self, steps: int) -> Found:
        """Windows of four frames, one after the other, from synthetic tokens to frames on the host, full decoder."""
        windows = LiveWindows(size=min(LIVE_WINDOW, self._size.frames), overlap=1, lead_in=0)
        sampling = replace(self._size.sampling, steps=steps, guidance_appearance=(1.0, 1.0), guidance_motion=(1.0, 1.0))
        backend = self._need_backend()
        roles = {"step_embedding": "step_embedding", "denoiser": "live_denoiser", "stitch": "live_stitch"}
        sessions = {role: self.session(name) for role, name in roles.items()}
        inputs = ClipInputs.of(self._spec("denoiser"), sampling, frames=windows.size)
        loop = LiveLoop(
            backend,
            sessions,
            identity=self._identity(inputs),
            sampling=sampling,
            windows=windows,
            side_px=self._size.px,
        )
        decoder, seconds, made = LiveDecoder(backend, self.session("vae_decoder")), [], 0
        with PeakMemory(self._device) as memory:
            while len(seconds) < WARM_WINDOWS + REPEATS and sum(seconds[WARM_WINDOWS:]) < AT_MOST_S:
                start = time.perf_counter()
                tokens = backend.upload(inputs.motion_tokens[: loop.wanted])
                made = sum(1 for _ in decoder.frames(decoder.begin(loop.window(tokens))))
                seconds.append(time.perf_counter() - start)
        loop.check()
        median_s = statistics.median(seconds[WARM_WINDOWS:])
        return Found(
            text=f"{made / median_s:.4g} frames/s, {made} new frames in {median_s * 1e3:.4g} ms (median of "
            f"{len(seconds) - WARM_WINDOWS}), windows of {windows.size}, nothing overlaps{memory}",
            facts={"frames_per_s": made / median_s, "median_s": median_s, "peak_bytes": memory.peak_bytes},
        )

    def close(self) -> None:
        for session in self.sessions.values():
            session.close()
        if self._backend is not None:
            self._backend.close()

    def _animate(self, inputs: ClipInputs, stages: Stages) -> int:
        backend, sampling = self._need_backend(), self._size.sampling
        decoder, total = self.sessions["vae_decoder"], len(inputs.noise)
        numbers = {"pad_frames": sampling.pad_frames, "chunk": sampling.decode_chunk}
        parts = chunks(total, **numbers)
        loop = ClipLoop(
            backend,
            self.sessions,
            identity=self._identity(inputs),
            motion_tokens=backend.upload(inputs.motion_tokens),
            noise=lambda frames: inputs.noise[list(frames)],
            sampling=sampling,
            wanted=range(parts[0].start, parts[-1].stop),
            stages=stages,
        )
        return sum(1 for _ in decode(backend, decoder, loop.finish, frames=total, **numbers, stages=stages))

    def _identity(self, inputs: ClipInputs) -> Identity:
        backend = self._need_backend()
        return Identity(
            image_tokens=backend.upload(inputs.image_tokens),
            image_latents=backend.upload(inputs.image_latents),
            start_latents=np.zeros_like(inputs.image_latents),
        )

    def _spec(self, name: str) -> NetworkSpec:
        """What a graph promises, which need not be open."""
        if name in self.sessions:
            return self.sessions[name].spec
        return NetworkSpec.from_json(Artefact(self._work, name).wait(self._until_s())["spec"])

    def session(self, name: str) -> Session:
        """Opened once; a wrong one is remembered only as its line's failure."""
        if name not in self.sessions:
            backend = self._need_backend()
            graph = Artefact(self._work, name)
            facts: dict[str, Any] = graph.wait(self._until_s())
            artefact = graph
            if families.find(self._family).has_plans:
                artefact = Artefact(self._work, name, self._family)
                artefact.wait(self._until_s())
            self.sessions[name] = backend.load(NetworkSpec.from_json(facts["spec"]), artefact.path)
        return self.sessions[name]

    def _until_s(self) -> float:
        return time.time() + self._lines.left_s - 1

    def _need_backend(self) -> Backend:
        if self._backend is None:
            raise NotRun(f"{self._family} did not open")
        return self._backend


def open_backend(family: str, device: str) -> Backend:
    """One with a timeline, where its family can have one."""
    if family == "onnxruntime":
        from engines.onnx_backend import OnnxBackend

        return OnnxBackend(provider="cuda" if device == "cuda" else "cpu")
    from engines.trt_backend import open_trt_backend

    return open_trt_backend(family, 0, trace=True)


def seconds_of(backend: Backend, session: Session, given: Mapping[str, np.ndarray]) -> tuple[list[float], str]:
    """Seconds of each run after the warm-up, three, because plans are captured at their second run; and whose clock."""
    inputs = {k: backend.upload(v) for k, v in given.items()}
    outputs = session.run(inputs)
    for _ in range(2):
        session.run(inputs, outputs)
    backend.synchronize()
    walls: list[float] = []
    spans = getattr(backend, "spans", None)
    if spans is not None:
        spans()  # what ran before does not count
    while len(walls) < REPEATS and sum(walls) < AT_MOST_S:
        start = time.perf_counter()
        session.run(inputs, outputs)
        backend.synchronize()
        walls.append(time.perf_counter() - start)
    if spans is None:
        return walls, "the wall clock"
    return [span.seconds for span in spans() if span.name == session.spec.name], "events"
