"""One engine family at one size: every graph against the reference, its times, and a whole clip through our runtime.

Loads no torch: what it is compared with was left by the part that does. Times of plans are events' on their stream;
ONNX Runtime's are the wall clock's, copies to and from the host included, because that is how our runtime uses it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines import families
from engines.backend import Backend, Session
from engines.spec import NetworkSpec
from runtime.decode import chunks, decode
from runtime.hunyuanportrait.denoise import ClipLoop
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.stages import Stages
from tests.gpu.artefacts import Artefact
from tests.gpu.comparing import difference, read
from tests.gpu.conditions import ClipInputs
from tests.gpu.device_memory import PeakMemory
from tests.gpu.lines import Found, Lines, NotRun, Step
from tests.gpu.sizes import OF_A_CLIP, TIMED, Size

REPEATS, AT_MOST_S = 9, 8.0


def tell_family(lines: Lines, family: str, size: Size, device: str, work: Path, graphs: tuple[str, ...]) -> None:
    part = FamilyPart(lines, family, size, device, work)
    steps = [Step("open", part.open)]
    for name in graphs:
        steps.append(Step(f"parity, {name}", partial(part.parity, name)))
        if name in TIMED:
            steps.append(Step(TIMED[name], partial(part.time, name)))
    if family == "onnxruntime" and device == "cuda" and "denoiser" in graphs:
        from tests.gpu.onnx_on_device import run_on_device

        for graphs_too in (False, True):
            kind = "as a CUDA graph" if graphs_too else "bound on the device"
            call = partial(
                run_on_device, Artefact(work, "denoiser"), work / "denoiser" / "reference.npz", cuda_graph=graphs_too
            )
            steps.append(Step(f"step, {kind}", call))
    if set(OF_A_CLIP) <= set(graphs):
        steps.append(Step("clip", part.clip))
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

    def close(self) -> None:
        for session in self.sessions.values():
            session.close()
        if self._backend is not None:
            self._backend.close()

    def _animate(self, inputs: ClipInputs, stages: Stages) -> int:
        backend, sampling = self._need_backend(), self._size.sampling
        identity = Identity(
            image_tokens=backend.upload(inputs.image_tokens),
            image_latents=backend.upload(inputs.image_latents),
            start_latents=np.zeros_like(inputs.image_latents),
        )
        decoder, total = self.sessions["vae_decoder"], len(inputs.noise)
        numbers = {"pad_frames": sampling.pad_frames, "chunk": sampling.decode_chunk}
        parts = chunks(total, **numbers)
        loop = ClipLoop(
            backend,
            self.sessions,
            identity=identity,
            motion_tokens=backend.upload(inputs.motion_tokens),
            noise=lambda frames: inputs.noise[list(frames)],
            sampling=sampling,
            wanted=range(parts[0].start, parts[-1].stop),
            stages=stages,
        )
        return sum(1 for _ in decode(backend, decoder, loop.finish, frames=total, **numbers, stages=stages))

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
