"""Checkpoints to a bundle: every graph exported, compared with its network, and put where its content says.

A graph's key hashes all that decides its content: the promise, the networks' facts and weights, precision, exporter
and our own export code. A key that the bundle holds already is not built again, so a second build costs seconds, and
one that was killed goes on where it stopped.
"""

from __future__ import annotations

import difflib
import functools
import gc
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import InputError
from engines.manifest import GraphRecord, Manifest
from engines.plans import EngineSet
from engines.spec import QUANTIZATIONS, Quantization
from export.code_hash import code_hash
from export.graphs.build_quantized import Calls, Unfinished, build_quantized, quantization_facts
from export.graphs.flops import graph_flops
from export.graphs.graph import Graph
from export.graphs.parity import Expected, check, expectations
from export.graphs.shared_weights import share_weights
from export.graphs.structure import structure
from export.graphs.trace import OPSET, export_onnx
from export.hunyuanportrait.architecture import NETWORKS
from export.hunyuanportrait.graphs import QUANTIZABLE, bundle_graphs
from export.hunyuanportrait.live_graphs import live_graphs
from export.hunyuanportrait.presets import PRESETS, Preset
from export.hunyuanportrait.released import released_row_flops
from export.hunyuanportrait.reuse_graphs import REUSE_GRAPHS, reuse_graphs
from export.hunyuanportrait.upstream import find_user_files
from export.plans.build_plans import intact
from export.plans.engine_parity import Judge
from export.progress import Progress, announcer
from export.weights.packed import live_networks
from export.weights.source import OWN_WEIGHTS, WeightsSource, WithLive, is_packed, open_source, own_live_weights
from runtime.hunyuanportrait.presets import MODEL

Precision = Literal["fp32", "fp16"]
EXPORTERS = ("torch", "onnx", "onnxscript", "onnxruntime")  # whose versions change a graph or its verdict


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """What to build, checked when made.

    `weights` is upstream's folder, or a .safetensors file of `export.train`; None means random weights.
    `live_weights` is a file of `export.distill`; without one, live mode's denoiser is of the bundle's own UNet,
    and it has a tiny decoder only with random weights. Raises CheckpointError for a file of other things.
    """

    preset: str
    bundle: Path
    weights: Path | None = None
    precision: Precision = "fp32"
    size: int | None = None  # pixels; None: the preset's
    frames: int | None = None  # F, the window; None: the preset's
    only: tuple[str, ...] = ()  # build at most these graphs; the others must be in the bundle, and intact
    parity: bool = True
    reuse: bool = False  # the denoiser in two parts too, for profiles that reuse deep features
    quantize: tuple[Quantization, ...] = ()  # the denoisers in 8 bits too
    calibration: tuple[Path, Path] | None = None  # portrait and driving video to calibrate on; None: drawn clips
    live: bool = False  # the graphs of live mode too
    live_weights: Path | None = None

    def __post_init__(self) -> None:
        check_preset(self.preset)
        if self.precision not in ("fp32", "fp16"):
            raise InputError(f"there is no precision {self.precision!r}; choose fp32 or fp16")
        if self.size is not None and self.size > 2048:
            raise InputError(f"a size of {self.size} pixels cannot be built; choose at most 2048 (released: 512)")
        if self.frames is not None and not 2 <= self.frames <= 256:
            raise InputError(f"a window of {self.frames} frames cannot be built; choose 2 to 256 (released: 25)")
        if self.live_weights is not None and not self.live:
            raise InputError("live weights were given for a bundle without live mode; ask for both or for neither")
        if unknown_kinds := [kind for kind in self.quantize if kind not in QUANTIZATIONS]:
            raise InputError(f"there is no quantisation {unknown_kinds[0]!r}; choose int8 or fp8")
        if self.calibration is not None and not self.quantize:
            raise InputError("a clip to calibrate on was given and nothing is quantised; ask for both or for neither")
        try:
            known = self.graphs()
        except ValueError as error:
            raise InputError(str(error)) from error
        if unknown := [name for name in self.only if name not in known]:
            raise InputError(f"there is no graph {', '.join(unknown)}; choose from {', '.join(known)}")

    @property
    def profile(self) -> Preset:
        return PRESETS[self.preset]

    @property
    def size_px(self) -> int:
        return self.profile.size if self.size is None else self.size

    @property
    def window(self) -> int:
        return self.profile.frames if self.frames is None else self.frames

    @property
    def packed(self) -> bool:
        """Whether the weights are one file, of our own training."""
        return is_packed(self.weights)

    def user_files(self) -> dict[str, Path]:
        """Files beside the weights that a bundle does not hold and the runtime can use."""
        return {} if self.weights is None or self.packed else find_user_files(self.weights)

    def graphs(self) -> dict[str, Graph]:
        """Every graph of this bundle. ValueError for a size that the networks cannot take."""
        architecture, half = self.profile.architecture, self.precision == "fp16"
        sizes: Any = {"size": self.size_px, "frames": self.window, "half": half}
        graphs = bundle_graphs(architecture, motion_px=self.profile.motion_px, **sizes)
        if self.reuse:
            graphs |= reuse_graphs(architecture, **sizes)
        if self.live:
            graphs |= live_graphs(architecture, networks=self._live_networks(), **sizes)
        for kind in self.quantize:
            made = [graphs[name].in_kind(kind) for name in QUANTIZABLE if name in graphs]
            graphs |= {graph.name: graph for graph in made}
        return graphs

    def words(self) -> tuple[str, ...]:
        """What `export.build_engines` is asked for this with, but for the bundle's own place."""
        own = self.weights is not None and self.weights == OWN_WEIGHTS.get(self.preset)
        own_live = own_live_weights(self.preset) if own else None
        words = ["--preset", self.preset]
        if not own:
            words += ["--random-weights"] if self.weights is None else ["--weights", str(self.weights)]
        words += ["--precision", self.precision]
        words += [] if self.size is None else ["--size", str(self.size)]
        words += [] if self.frames is None else ["--frames", str(self.frames)]
        if self.live and self.live_weights is None:
            words += ["--live"]
        elif self.live_weights != own_live:
            words += ["--no-live"] if self.live_weights is None else ["--live-weights", str(self.live_weights)]
        words += ["--reuse"] * self.reuse
        words += [word for kind in self.quantize for word in ("--quantize", kind)]
        words += [] if self.calibration is None else ["--calibrate", *map(str, self.calibration)]
        words += ["--no-graph-parity"] * (not self.parity)
        return tuple(words)

    def _live_networks(self) -> tuple[str, ...]:
        """Which networks of live mode there are weights of."""
        if self.live_weights is not None:
            return live_networks(self.live_weights)
        return ("tiny_decoder",) if self.weights is None else ()


def check_preset(name: str) -> None:
    """Raises InputError for a preset that there is not."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(PRESETS)}"
        raise InputError(f"there is no preset {name!r}; {hint}")


def build_bundle(config: BuildConfig, on_progress: Callable[[Progress], None] | None = None) -> Bundle:
    """Build what is missing or changed, commit, and return the opened bundle.

    Raises CheckpointError, BundleError, OutputError; ParityError when a graph is wrong, which is then not kept.
    """
    tell = on_progress or (lambda progress: None)
    source = open_weights(config)
    graphs = config.graphs()
    fingerprint = functools.cache(source.fingerprint)
    records: dict[str, GraphRecord] = {}
    calls = Calls(config.calibration)
    with BundleWriter(config.bundle, preset=config.preset) as writer:
        networks = _Networks(config, source)
        for number, (name, graph) in enumerate(graphs.items(), start=1):
            facts, record = find_graph(writer, graph, config, fingerprint)
            later = {n for g in list(graphs.values())[number:] if not g.quantized for n in g.networks}
            if record is None:
                announce = announcer(tell, what="graph", graph=name, number=number, of=len(graphs))
                if graph.quantized:
                    networks.keep(set())
                    so_far = _manifest(config, source, {}, records)
                    unfinished = Unfinished(path=config.bundle, manifest=so_far, writer=writer)
                    record = build_quantized(graph, digest(facts), facts, unfinished, calls, announce)
                else:
                    owner = writer.where(records["denoiser"]) if name in REUSE_GRAPHS else None
                    record = _build_graph(graph, facts, config, networks, later, writer, announce, owner)
            else:
                tell(Progress(graph=name, step="reuse", number=number, of=len(graphs), parity=record.parity.get("max")))
            records[name] = record
        manifest = _manifest(config, source, {n: fingerprint(n) for n in _used(graphs)}, records)
        return writer.commit(replace(manifest, engines=still_good(writer, records)))


def deciding_networks(graph: Graph) -> tuple[str, ...]:
    """Whose weights decide what a graph is: its own, and for one in 8 bits all that the clips go through which it is
    calibrated on."""
    return graph.networks if graph.quantized is None else tuple(dict.fromkeys((*graph.networks, *NETWORKS)))


def content_facts(graph: Graph, config: BuildConfig, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Everything that decides what the exported file contains, and whether it was compared: JSON data."""
    quantized = (
        {} if graph.quantized is None else {"quantized": quantization_facts(graph.quantized, config.calibration)}
    )
    return quantized | {
        "parity": config.parity,
        "spec": graph.spec.to_json(),
        "half": graph.half,
        "networks": {n: digest(config.profile.architecture.facts(n)) for n in graph.networks},
        "weights": dict(fingerprints),
        "opset": OPSET,
        "versions": {package: metadata.version(package) for package in EXPORTERS},
        "code": code_hash("graphs", "hunyuanportrait", "hunyuanportrait/networks", "weights/random.py"),
    }


def digest(facts: Any) -> str:
    """sha256 (hex) over JSON data. Of a graph's facts it is the content key, which stands for one folder for ever: a
    graph is never made again under the name of one that is intact."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def find_graph(
    writer: BundleWriter, graph: Graph, config: BuildConfig, fingerprint: Callable[[str], str]
) -> tuple[dict[str, Any], GraphRecord | None]:
    """The facts of a graph, and its record where the bundle holds it already.

    `fingerprint`: of a network's weights. Raises InputError for one that it does not hold and that `--only` leaves out.
    """
    facts = content_facts(graph, config, {network: fingerprint(network) for network in deciding_networks(graph)})
    record = writer.find(graph.name, digest(facts))
    if record is None and not config.parity:  # one that was compared is as good
        record = writer.find(graph.name, digest(facts | {"parity": True}))
    if record is None and config.only and graph.name not in config.only:
        raise InputError(
            f"{config.bundle} has no {graph.name} of these settings and --only leaves it out; build without --only"
        )
    return facts, record


def still_good(writer: BundleWriter, records: Mapping[str, GraphRecord]) -> dict[str, EngineSet]:
    """The engine sets of the bundle that stands, less the plans that are damaged or whose graphs are others now."""
    kept = {}
    standing = writer.manifest()
    for folder, engines in (standing.engines if standing else {}).items():
        outdated = [
            name
            for name, plan in engines.plans.items()
            if name not in records
            or records[name].decides_plan(stripped=engines.target.options.strip) != plan.graph_key
        ]
        plans = intact(writer, engines, outdated)
        if plans:
            kept[folder] = replace(engines, plans=plans)
    return kept


def judge(config: BuildConfig) -> Judge:
    """For `export.plans.build_plans`: runs a graph's network in float32, on the GPU where PyTorch has one."""
    networks = _Networks(config, open_weights(config))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # a judge in float32 means it

    def run(graph: Graph) -> list[Expected]:
        module = graph.make(networks).eval().requires_grad_(False).to(device)
        expected = expectations(graph, module, device)
        del module
        networks.keep(set())
        if device == "cuda":
            torch.cuda.empty_cache()  # what PyTorch keeps, the engine cannot have
        return expected

    return run


def open_weights(config: BuildConfig) -> WeightsSource:
    """Where the parameters come from. Raises CheckpointError for a folder or file that is not what it should be."""
    return open_source(config.profile.architecture, config.weights, preset=config.preset, live=config.live_weights)


class _Networks:
    """Modules with float32 parameters, made when first asked for and shared between graphs."""

    def __init__(self, config: BuildConfig, source: WeightsSource) -> None:
        self._architecture, self._source = config.profile.architecture, source
        self._made: dict[str, nn.Module] = {}

    def __call__(self, network: str) -> nn.Module:
        if network not in self._made:
            self._made[network] = self._architecture.load(network, self._source.state(network))
        return self._made[network]

    def keep(self, wanted: Set[str]) -> None:
        """Let go of all but these."""
        self._made = {name: module for name, module in self._made.items() if name in wanted}
        gc.collect()


def _build_graph(
    graph: Graph,
    facts: dict[str, Any],
    config: BuildConfig,
    networks: _Networks,
    later: Set[str],
    writer: BundleWriter,
    announce: Callable[..., None],
    owner: Path | None,
) -> GraphRecord:
    """`owner`: the graph whose weights this one's are."""
    from engines.onnx_backend import OnnxBackend

    start, key = time.perf_counter(), digest(facts)
    announce("load")
    module = graph.make(networks).eval().requires_grad_(False)
    announce("judge")
    expected = expectations(graph, module) if config.parity else []
    announce("export")
    if graph.half:
        module = module.half()  # in place: the networks it holds are no judges any more
        later = later - set(graph.networks)
    folder = writer.stage(graph.name, key)
    path = folder / f"{graph.name}.onnx"
    example = graph.example({name: max(size, 2) for name, size in graph.opt_sizes().items()})
    export_onnx(module, graph.spec, example, path)
    read = {} if owner is None else {"weights_bytes": share_weights(path, owner)}
    exported_s = time.perf_counter() - start
    del module
    networks.keep(later)  # before the session opens: a full-size UNet is 6 GB in each
    parity: dict[str, float] = {}
    if config.parity:
        announce("parity")
        backend = OnnxBackend()
        session = backend.load(graph.spec, path)
        parity = check(graph, session, backend, expected)
        session.close()
    flops = graph_flops(graph, config.profile.architecture)
    if graph.name == "denoiser":
        flops["released"] = released_row_flops(config.profile.architecture, size=config.size_px, frames=config.window)
    record = writer.finish(
        GraphRecord(
            name=graph.name,
            key=key,
            spec=graph.spec,
            precision="fp16" if graph.half else "fp32",
            structure=structure(path),
            parity=parity,
            flops=flops,
            built={
                "seconds": round(time.perf_counter() - start, 2),
                "export_seconds": round(exported_s, 2),
                **read,
                "facts": facts,
            },
        )
    )
    announce("done", parity=parity.get("max"))
    return record


def _manifest(
    config: BuildConfig, source: WeightsSource, fingerprints: dict[str, str], records: dict[str, GraphRecord]
) -> Manifest:
    preset, size = config.profile, config.size_px
    sampling = {
        "scaling_factor": preset.architecture.vae.scaling_factor,
        **preset.sampling,
        "window": config.window,
        "overlap": min(3, config.window - 1),  # the released 3, but in windows too short for it
    }
    return Manifest(
        model=MODEL,
        command=config.words(),
        preset=config.preset,
        precision=config.precision,
        size=(size, size),
        frames=config.window,
        weights={
            "kind": source.kind,
            "source": source.source,
            "fingerprint": fingerprints,
            **({"live": source.live_source} if isinstance(source, WithLive) else {}),
        },
        sampling=sampling,
        geometry={
            "crop_px": size,
            "appearance_px": preset.architecture.appearance["image_hw"][0],
            "motion_px": preset.motion_px,
        },
        graphs=records,
        versions={"hp_trt": metadata.version("hp-trt"), **{p: metadata.version(p) for p in EXPORTERS}},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _used(graphs: dict[str, Graph]) -> Sequence[str]:
    return list(dict.fromkeys(n for g in graphs.values() for n in g.networks))
