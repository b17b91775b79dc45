"""PyTorch alone: the reference's outputs, the released algorithm in eager fp16, the exact one eager and compiled.

One window's step and one chunk of frames by CUDA events, and whole synthetic clips. The released algorithm's times are
the base of every ratio in the report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.graphs.flops import count, graph_flops
from export.graphs.graph import Graph
from export.hunyuanportrait.graphs import black_pose_features
from export.hunyuanportrait.networks.unet import StepEmbedding
from tests.gpu.comparing import difference, keep
from tests.gpu.conditions import ClipInputs
from tests.gpu.lines import Found, Lines, NotRun, Step
from tests.gpu.networks import Networks, architecture_of, graphs_of
from tests.gpu.released import Released, keep_positions
from tests.gpu.sizes import Size
from tests.gpu.stopwatch import Times, measure
from tests.gpu.torch_clip import run_clip

GUIDANCE = (2.0, 2.0)  # the released scales: the drop-motion row has weight 0
COMPILE_NEEDS_S = 60.0


class TorchPart:
    """The lines of one size. What an earlier line made and a later one needs is kept here."""

    def __init__(
        self, lines: Lines, size: Size, device: str, work: Path, graphs: tuple[str, ...], *, compiled: bool
    ) -> None:
        self._lines, self._size, self._device, self._work = lines, size, device, work
        self._compile = compiled and device == "cuda"  # on a CPU it takes a minute to say nothing
        self._section = f"torch, {size.name}"
        self._dtype = torch.float16 if device == "cuda" else torch.float32  # a CPU computes half at a snail's pace
        self._precision = "fp16" if device == "cuda" else "fp32"
        self._all, self._architecture = graphs_of(size), architecture_of(size)
        self._graphs = {name: self._all[name] for name in graphs}
        self._networks = Networks(self._architecture, device)
        self._modules: dict[str, nn.Module] = {}
        self.made: dict[Any, Any] = {}

    def tell(self) -> None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
        steps = [
            Step("weights", self._weights),
            *(Step(f"reference, {name}", partial(self._reference, graph)) for name, graph in self._graphs.items()),
            Step("exact modules", self._halve),
            Step("released, step", self.released_step),
            Step("released, step, three rows at once", partial(self.released_step, batched=True)),
            Step("released, decode", self._released_decode),
            Step("exact, step", self._exact_step),
            Step("exact, decode", self._exact_decode),
            *(Step(f"{kind}, clip", partial(self._clip, kind)) for kind in ("released", "exact")),
        ]
        if self._compile:
            steps += [
                Step("compiled, decode", self._compiled_decode, COMPILE_NEEDS_S / 2),
                Step("compiled, step", self._compiled_step, COMPILE_NEEDS_S),
            ]
        with torch.no_grad():
            self._lines.run_all(self._section, steps)

    def _weights(self) -> Found:
        start, names = time.perf_counter(), {n for g in self._graphs.values() for n in g.networks}
        count = sum(p.numel() for n in sorted(names | {"unet", "vae"}) for p in self._networks(n).parameters())
        seconds = time.perf_counter() - start
        return Found(text=f"{count / 1e9:.3g} B random parameters in {seconds:.1f} s", facts={"parameters": count})

    def _reference(self, graph: Graph) -> Found:
        inputs = self._example(graph.name)
        start = time.perf_counter()
        output = _run(self._module(graph.name), inputs, self._device, torch.float32)
        keep(
            self._work / graph.name / "reference.npz",
            {k: t.numpy() for k, t in inputs.items()},
            output.float().cpu().numpy(),
        )
        self.made["expected", graph.name] = output.cpu()
        rms = float(output.double().square().mean().sqrt())
        finite = bool(torch.isfinite(output).all())
        return Found(
            text=f"{tuple(output.shape)} in {time.perf_counter() - start:.1f} s, rms {rms:.3g}",
            facts={"rms": rms, "finite": finite},
            missed="" if finite else "NaN or infinity in float32",
        )

    def _example(self, name: str) -> dict[str, Tensor]:
        return self._all[name].example(self._all[name].opt_sizes())

    def _module(self, name: str) -> nn.Module:
        if name not in self._modules:
            with torch.device(self._device):
                self._modules[name] = self._all[name].make(self._networks).eval().requires_grad_(False)
        return self._modules[name]

    def _halve(self) -> Found:
        """The denoiser and the decoder in their precision, and how far that alone takes them from the reference."""
        embedding = StepEmbedding(self._networks("unet"))  # an fp32 graph of its own in a bundle
        given = ClipInputs.of(self._all["denoiser"].spec, self._size.sampling, frames=self._size.clip_frames)
        seen = {k: torch.from_numpy(v).to(self._device) for k, v in given.window(self._size.sampling).items()}
        with torch.device(self._device):
            pose = black_pose_features(self._networks("pose_guider"), (self._size.px, self._size.px))
            self.made["embedding"] = embedding(seen["timestep"], seen["added_time_ids"])
        self.made.update(seen=self._narrow(seen), pose=pose)
        said, facts, missed = [], {}, ""
        for name in ("denoiser", "vae_decoder"):
            module = self._module(name).to(self._dtype)
            if name == "denoiser":
                with torch.device(self._device):
                    keep_positions(self._networks("unet"), frames=self._size.frames)
            if ("expected", name) not in self.made:
                continue
            output = _run(module, self._example(name), self._device, self._dtype)
            found = difference(name, output.float().cpu().numpy(), self.made["expected", name].numpy())
            said.append(f"{name} {found}")
            facts[name] = vars(found)
            missed = missed or found.missed
        return Found(text=f"{self._precision}: {'; '.join(said) or 'not compared'}", facts=facts, missed=missed)

    def _narrow(self, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.to(self._dtype) if v.dtype == torch.float16 else v for k, v in seen.items()}

    def _released(self) -> Released:
        if "released" not in self.made:
            self.made["released"] = Released(
                self._architecture, self._networks("unet"), self._networks("vae"), self._need("pose")
            )
        made: Released = self.made["released"]
        return made

    def _need(self, name: Any) -> Any:
        if name not in self.made:
            raise NotRun(f"the line that makes the {name} did not end well")
        return self.made[name]

    def released_step(self, *, batched: bool = False) -> Found:
        """One step of one window, its three rows one by one or at once."""
        released, seen = self._released(), self._need("seen")
        call = partial(released.velocity, seen, guidance=GUIDANCE, batched=batched)
        self.made["released velocity"] = call().cpu()
        flops = 3 * self.row_flops(released)
        found = self._timed(call, flops, more=released.kind)
        self.made["released step_s", batched] = found.facts["median_s"]
        return found

    def _released_batched(self) -> bool:
        """Whether the released algorithm is faster here with its three rows at once: its clip runs that way."""
        one_by_one, at_once = (self.made.get(("released step_s", batched)) for batched in (False, True))
        return at_once is not None and (one_by_one is None or at_once < one_by_one)

    def row_flops(self, released: Released) -> int:
        """Of one row, counted on the arrangement that runs; by shapes alone."""
        if released.with_diffusers:
            from export.hunyuanportrait.released import released_row_flops

            return released_row_flops(self._architecture, size=self._size.px, frames=self._size.frames)
        seen = {k: torch.empty_like(v, device="meta", dtype=torch.float32) for k, v in self._need("seen").items()}
        with torch.device("meta"):
            networks = {name: self._architecture.build(name) for name in ("unet", "vae")}
            keep_positions(networks["unet"], frames=self._size.frames)
            shapes = Released(
                self._architecture, networks["unet"], networks["vae"], self._need("pose").to("meta").float()
            )
        return count(lambda: shapes.velocity(seen, guidance=GUIDANCE)) // 3

    def _released_decode(self) -> Found:
        released, latents = self._released(), self._chunk()
        flops = graph_flops(self._all["vae_decoder"], self._architecture.build)["call"] * len(latents)
        return self._timed(lambda: released.decode(latents), flops, more=f"{len(latents)} frames, {released.kind}")

    def _chunk(self) -> Tensor:
        count = self._size.sampling.decode_chunk
        chunk: Tensor = self._example("vae_decoder")["latents"][:count].to(self._device)
        return chunk

    def exact_inputs(self) -> tuple[Tensor, ...]:
        """The denoiser's two rows for what the released algorithm sees as three."""
        seen, embedding = self._need("seen"), self._need("embedding")
        two = {
            name: torch.cat([torch.zeros_like(seen[name]), seen[name]]) for name in ("image_latents", "image_tokens")
        }
        motion = torch.stack([torch.zeros_like(seen["motion_tokens"]), seen["motion_tokens"]])
        weights = torch.tensor([1 - GUIDANCE[0], GUIDANCE[1]], device=self._device)
        return (seen["latents"], seen["c_in"], embedding, two["image_latents"], two["image_tokens"], motion, weights)

    def _exact_step(self) -> Found:
        module, inputs = self._module("denoiser"), self.exact_inputs()
        self.made["exact velocity"] = module(*inputs).cpu()
        found = self._timed(lambda: module(*inputs), self._exact_flops())
        if "released velocity" in self.made:
            same = difference("denoiser", self.made["exact velocity"].numpy(), self.made["released velocity"].numpy())
            found.facts["against_released"] = same.relative_l2
            return Found(text=f"{found.text}; against the released velocity: {same}", facts=found.facts)
        return found

    def _exact_flops(self) -> int:
        return 2 * graph_flops(self._all["denoiser"], self._architecture.build)["call"]

    def _exact_decode(self) -> Found:
        module, latents = self._module("vae_decoder"), self._chunk()
        flops = graph_flops(self._all["vae_decoder"], self._architecture.build)["call"] * len(latents)
        return self._timed(lambda: module(latents), flops, more=f"{len(latents)} frames, and their pixels")

    def _clip(self, kind: str) -> Found:
        """All windows of all steps and all frames to the host, from synthetic tokens."""
        sampling, frames = self._size.sampling, self._size.clip_frames
        inputs = ClipInputs.of(self._all["denoiser"].spec, sampling, frames=frames)
        step, decode = self.clip_calls(kind)
        _, seconds = run_clip(inputs, sampling, step, decode, device=self._device, skip_padding=kind == "exact")
        rows = ", three rows at once" if self._released_batched() else ", rows one by one"
        return Found(
            text=f"{frames / seconds:.4g} frames/s ({frames} frames, {sampling.steps} steps, {seconds:.2f} s"
            f"{rows if kind == 'released' else ''})",
            facts={
                "frames": frames,
                "steps": sampling.steps,
                "seconds": seconds,
                "frames_per_s": frames / seconds,
                "peak_bytes": self._peak(),
            },
        )

    def clip_calls(self, kind: str) -> tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]:
        """A step and a decode of a whole clip, "released" or "exact"; the released one in its faster arrangement."""
        seen = dict(self._need("seen"))
        if kind == "released":
            released, batched = self._released(), self._released_batched()

            def released_step(latents: Tensor, motion: Tensor, c_in: Tensor, timestep: Tensor) -> Tensor:
                now = {**seen, "latents": latents, "motion_tokens": motion, "c_in": c_in, "timestep": timestep}
                return released.velocity(now, guidance=GUIDANCE, batched=batched)

            return released_step, released.decode
        denoiser, decoder = self._module("denoiser"), self._module("vae_decoder")
        _, _, _, image_latents, image_tokens, _, weights = self.exact_inputs()
        embed = StepEmbedding(self._networks("unet"))

        def exact_step(latents: Tensor, motion: Tensor, c_in: Tensor, timestep: Tensor) -> Tensor:
            with torch.device(self._device):
                embedding = embed(timestep, seen["added_time_ids"])
            rows = torch.stack([torch.zeros_like(motion), motion])
            velocity: Tensor = denoiser(latents, c_in, embedding, image_latents, image_tokens, rows, weights)
            return velocity

        return exact_step, lambda latents: _first(decoder(latents))

    def _compiled_step(self) -> Found:
        inputs = self.exact_inputs()
        return self._compiled("denoiser", inputs, self._exact_flops(), "exact velocity")

    def _compiled_decode(self) -> Found:
        latents = self._chunk()
        flops = graph_flops(self._all["vae_decoder"], self._architecture.build)["call"] * len(latents)
        return self._compiled("vae_decoder", (latents,), flops, None)

    def _compiled(self, name: str, inputs: tuple[Tensor, ...], flops: int, same_as: str | None) -> Found:
        eager = self.made.get(same_as) if same_as else _first(self._module(name)(*inputs)).cpu()
        start = time.perf_counter()
        compiled = torch.compile(self._module(name), dynamic=False)
        output = _first(compiled(*inputs))
        took_s = time.perf_counter() - start
        found = self._timed(lambda: compiled(*inputs), flops, more=f"compiled in {took_s:.0f} s")
        found.facts["compile_s"] = took_s
        if eager is None:
            return found
        same = difference(name, output.float().cpu().numpy(), eager.float().numpy())
        return Found(text=f"{found.text}; against eager: {same}", facts=found.facts, missed=same.missed)

    def _timed(self, call: Callable[[], object], flops: int, *, more: str = "") -> Found:
        if self._device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        quick = self._device == "cpu"
        times: Times = measure(call, self._device, warmup=0 if quick else 2, repeats=1 if quick else 9)
        rate, peak = flops / times.median_s, self._peak()
        said = f"{times}, {flops / 1e12:.4g} TFLOP, {rate / 1e12:.4g} TFLOP/s"
        if peak is not None:
            said += f", peak {peak / 2**30:.1f} GiB"
        return Found(
            text=said + (f", {more}" if more else ""),
            facts={**times.facts(), "flops": flops, "flops_per_s": rate, "peak_bytes": peak},
        )

    def _peak(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self._device == "cuda" else None


def _run(module: nn.Module, inputs: dict[str, Tensor], device: str, dtype: torch.dtype) -> Tensor:
    """The first output of `module` on `inputs` of its graph, the half ones as `dtype`; its constants are made on the
    device."""
    with torch.device(device):
        given = [t.to(device, dtype if t.dtype == torch.float16 else t.dtype) for t in inputs.values()]
        return _first(module(*given))


def _first(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What is compared of a graph: of a decoder's its frames."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def tell_torch(lines: Lines, size: Size, device: str, work: Path, graphs: tuple[str, ...], *, compiled: bool) -> None:
    TorchPart(lines, size, device, work, graphs, compiled=compiled).tell()
