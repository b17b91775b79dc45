"""Checkpoints to a bundle: every graph exported, compared with its network, and put where its content says.

A graph's key hashes all that decides its content: the promise, the networks' facts and weights, precision, exporter
and our own export code. A build is a list of steps, made before anything is done: a graph whose key the bundle holds
already is not built again, so a second build costs seconds, and one that was killed goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.cores import available_cores
from engines.errors import InputError
from engines.manifest import GraphRecord, Manifest
from engines.plans import EngineSet
from engines.spec import PRECISIONS, QUANTIZATIONS, Precision, Quantization
from export.code_hash import code_hash
from export.graphs.build_graph import SharedNetworks
from export.graphs.build_quantized import Calls, Unfinished, build_quantized, quantization_facts
from export.graphs.flops import graph_flops
from export.graphs.graph import Graph
from export.graphs.graph_steps import GraphStep, digest
from export.graphs.parity import Expected, expectations
from export.graphs.trace import OPSET
from export.models import Model, UsualSizes, find_model
from export.plans.build_plans import intact
from export.plans.engine_parity import Reference
from export.progress import Progress, announcer
from export.two_processes.beside import Beside, Work, share_out
from export.two_processes.choice import IMPORTED, graph_parameters
from export.two_processes.tasks import GraphTask, graph_exporter, hide_modules, modules_hidden, torch_threads
from export.weights.own import OWN_WEIGHTS, is_packed, own_live_weights
from export.weights.source import WeightsSource, WithLive
from hp_trt import __version__
from hp_trt.config import one_of

GRAPH_CODE = ("graphs", "weights/random.py", "blocks.py")  # of `export/`: what decides a graph of any model
EXPORTERS = ("torch", "onnx", "onnxscript")  # whose versions, and ONNX Runtime's, change a graph or its verdict


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
        find_model(self.preset)
        one_of("precision", self.precision, PRECISIONS)
        for kind in self.quantize:
            one_of("quantisation", kind, QUANTIZATIONS)
        if self.size is not None and self.size > 2048:
            raise InputError(f"a size of {self.size} pixels cannot be built; choose at most 2048 (released: 512)")
        if self.live_weights is not None and not self.live:
            raise InputError("live weights were given for a bundle without live mode; ask for both or for neither")
        if self.calibration is not None and not self.quantize:
            raise InputError("a clip to calibrate on was given and nothing is quantised; ask for both or for neither")
        try:
            known = self.graphs()
        except ValueError as error:
            raise InputError(str(error)) from error
        if unknown := [name for name in self.only if name not in known]:
            raise InputError(f"there is no graph {', '.join(unknown)}; choose from {', '.join(known)}")

    @property
    def model(self) -> Model:
        return find_model(self.preset).holding(self.weights)

    @property
    def usual_sizes(self) -> UsualSizes:
        return self.model.preset

    @property
    def size_px(self) -> int:
        return self.usual_sizes.size if self.size is None else self.size

    @property
    def window(self) -> int:
        return self.usual_sizes.frames if self.frames is None else self.frames

    @property
    def packed(self) -> bool:
        """Whether the weights are one file, of our own training."""
        return is_packed(self.weights)

    def user_files(self) -> Mapping[Path, str]:
        """Files beside the weights that a bundle does not hold and the runtime can use: each with its option."""
        return {} if self.weights is None or self.packed else self.model.user_files(self.weights)

    def graphs(self) -> dict[str, Graph]:
        """Every graph of this bundle. ValueError for a size that the networks cannot take."""
        return self.model.graphs(
            size=self.size_px,
            frames=self.window,
            half=self.precision == "fp16",
            reuse=self.reuse,
            live=self.model.live_networks_of(self.weights, self.live_weights) if self.live else None,
            quantize=self.quantize,
        )

    def words(self) -> tuple[str, ...]:
        """What `export.build_engines` is asked for this with, but for the bundle's own place."""
        own_live = own_live_weights(self.preset)
        own = self.weights is not None and self.weights == OWN_WEIGHTS.get(self.preset)
        if self.live and self.live_weights is None and own_live is not None:
            own = False  # they are named, because own weights that are left out bring their live weights along
        words = ["--preset", self.preset]
        if not own:
            words += ["--random-weights"] if self.weights is None else ["--weights", str(self.weights)]
        words += ["--precision", self.precision]
        words += [] if self.size is None else ["--size", str(self.size)]
        words += [] if self.frames is None else ["--frames", str(self.frames)]
        if self.live and self.live_weights is None:
            words += ["--live"]
        elif self.live_weights != (own_live if own else None):
            words += ["--no-live"] if self.live_weights is None else ["--live-weights", str(self.live_weights)]
        words += ["--reuse"] * self.reuse
        words += [word for kind in self.quantize for word in ("--quantize", kind)]
        words += [] if self.calibration is None else ["--calibrate", *map(str, self.calibration)]
        words += ["--no-graph-parity"] * (not self.parity)
        return tuple(words)


def build_bundle(
    config: BuildConfig,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    processes: int = 1,
    beside: Beside | None = None,
) -> Bundle:
    """Build what is missing or changed, commit, and return the opened bundle.

    `processes`: 1, or 2 for two graphs at a time, each with half of the threads; the bundle's files are the same. A
    program that asks for 2 starts under `if __name__ == "__main__":`, because the second process imports it. `beside`:
    that process, where it has begun already; it ends here.

    Raises CheckpointError, BundleError, OutputError; ParityError when a graph is wrong, which is then not kept.
    """
    tell = on_progress or (lambda progress: None)
    source = open_weights(config)
    fingerprint = functools.cache(source.fingerprint)
    writer = BundleWriter(config.bundle, preset=config.preset)
    threads = max(available_cores() // processes, 1)
    if processes > 1:
        beside = (beside or Beside(*IMPORTED)).becomes(_exporter, config, threads)
    elif beside is not None:
        beside.stop()
        beside = None
    with beside or contextlib.nullcontext():
        if not config.bundle.exists():  # what this refuses leaves no empty folder
            writer.check()
            if beside and not config.only:  # it imports while weights are hashed here
                beside.start()
            graph_steps(config, writer, fingerprint)
        with writer, beside or contextlib.nullcontext():  # it ends before the writer tidies up behind it
            steps = graph_steps(config, writer, fingerprint)
            records = _build(steps, config, source, writer, tell, beside=beside, threads=threads)
            used = dict.fromkeys(network for step in steps for network in step.graph.networks)
            manifest = _manifest(config, source, {network: fingerprint(network) for network in used}, records)
            return writer.commit(replace(manifest, engines=still_good(writer, records)))


def _build(
    steps: Sequence[GraphStep],
    config: BuildConfig,
    source: WeightsSource,
    writer: BundleWriter,
    tell: Callable[[Progress], None],
    *,
    beside: Beside | None,
    threads: int,
) -> dict[str, GraphRecord]:
    """Every graph's record, in the order of `steps`: found, or built."""
    records: dict[str, GraphRecord] = {}
    number_of = {step.name: number for number, step in enumerate(steps, start=1)}

    def announce(name: str) -> Callable[..., None]:
        return announcer(tell, what="graph", graph=name, number=number_of[name], of=len(steps))

    for step in steps:
        if step.record is not None:
            records[step.name] = step.record
            parity = step.record.parity.get("max")
            tell(Progress(graph=step.name, step="reuse", number=number_of[step.name], of=len(steps), parity=parity))
    left = [step for step in steps if step.build and not step.graph.quantized]
    whole = [step for step in left if not step.graph.shares]
    parts = [step for step in left if step.graph.shares]  # of the weights' file of another, which is to be there
    two = beside is not None and len(left) > 1
    if two:  # the longest first, so that none of these is begun last
        cost = graph_parameters(config.model, config.graphs())
        whole.sort(key=lambda step: -cost[step.name])
    with (
        modules_hidden() if left else contextlib.nullcontext(),
        torch_threads(threads) if two else contextlib.nullcontext(),
    ):
        export = _exporter_of(config, source, writer, threads if two else None)
        for group, after in ((whole, parts), (parts, [])):
            tasks = [
                GraphTask(
                    name=step.name,
                    facts=step.facts,
                    later=frozenset(n for other in (*group[number:], *after) for n in other.graph.networks),
                    owner=writer.where(records[step.graph.shares]) if step.graph.shares else None,
                )
                for number, step in enumerate(group, start=1)
            ]
            if beside is not None and len(tasks) > 1:
                made = share_out(tasks, export, beside.do, lambda task: announce(task.name))
            else:
                made = [export(task, announce(task.name)) for task in tasks]
            records |= {task.name: record for task, record in zip(tasks, made, strict=True)}
        del export  # and the networks that it holds
    if beside is not None:
        beside.stop()
    calls = Calls(functools.partial(config.model.calls, clip=config.calibration))
    for step in steps:
        if step.build and step.graph.quantized:
            bundle = Unfinished(path=config.bundle, manifest=_manifest(config, source, {}, records), writer=writer)
            records[step.name] = build_quantized(step, bundle=bundle, calls=calls, announce=announce(step.name))
    return {step.name: records[step.name] for step in steps}


def graph_steps(config: BuildConfig, writer: BundleWriter, fingerprint: Callable[[str], str]) -> list[GraphStep]:
    """What a build does with each graph, in order; the bundle is looked at and not touched.

    `fingerprint`: of a network's weights. Raises InputError for a graph that the bundle does not hold and that `--only`
    leaves out.
    """
    standing = writer.manifest()
    steps, lacking = [], []
    for name, graph in config.graphs().items():
        networks = deciding_networks(graph, config.model)
        facts = content_facts(graph, config, {network: fingerprint(network) for network in networks})
        record = writer.find(name, digest(facts))
        if record is None and not config.parity:  # one that was compared is as good
            record = writer.find(name, digest(facts | {"parity": True}))
        if record is None and config.only and name not in config.only:
            lacking.append(name)
        before = standing.graphs.get(name) if standing else None
        steps.append(GraphStep(graph=graph, facts=facts, record=record, before=before))
    if lacking:
        held = "is not there yet" if standing is None else f"holds none of these settings of {', '.join(lacking)}"
        raise InputError(
            f"--only builds some graphs of a bundle that holds the others, and {config.bundle} {held}; leave --only "
            "out once, and from then on only what has changed is built"
        )
    return steps


def deciding_networks(graph: Graph, model: Model) -> tuple[str, ...]:
    """Whose weights decide what a graph is: its own, and for one in 8 bits all that the clips go through which it is
    calibrated on."""
    return graph.networks if graph.quantized is None else tuple(dict.fromkeys((*graph.networks, *model.networks)))


def exporter_versions() -> dict[str, str]:
    """By package. ONNX Runtime is asked itself: it comes as one of several packages, for CPUs or for GPUs."""
    import onnxruntime

    return {name: metadata.version(name) for name in EXPORTERS} | {"onnxruntime": onnxruntime.__version__}


def content_facts(graph: Graph, config: BuildConfig, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Everything that decides what the exported file contains, and whether it was compared: JSON data."""
    quantized = (
        {} if graph.quantized is None else {"quantized": quantization_facts(graph.quantized, config.calibration)}
    )
    return quantized | {
        "parity": config.parity,
        "spec": graph.spec.to_json(),
        "half": graph.half,
        "networks": {n: digest(config.model.network_facts(n)) for n in graph.networks},
        "weights": dict(fingerprints),
        "opset": OPSET,
        "versions": exporter_versions(),
        "code": code_hash(*GRAPH_CODE, *config.model.code),
    }


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


def reference(config: BuildConfig) -> Reference:
    """For `export.plans.build_plans`: runs a graph's network in float32, on the GPU where PyTorch has one."""
    graphs, networks = config.graphs(), _networks(config, open_weights(config))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # a reference in float32 means it

    def run(graph: str) -> list[Expected]:
        module = graphs[graph].make(networks).eval().requires_grad_(False).to(device)
        expected = expectations(graphs[graph], module, device)
        del module
        networks.keep(set())
        if device == "cuda":
            torch.cuda.empty_cache()  # what PyTorch keeps, the engine cannot have
        return expected

    return run


def open_weights(config: BuildConfig) -> WeightsSource:
    """Where the parameters come from. Raises CheckpointError for a folder or file that is not what it should be."""
    return config.model.open_weights(config.weights, config.live_weights)


def _networks(config: BuildConfig, source: WeightsSource) -> SharedNetworks:
    model = config.model
    return SharedNetworks(lambda network: model.load(network, source.state(network)))


def _exporter_of(
    config: BuildConfig, source: WeightsSource, writer: BundleWriter, threads: int | None
) -> Callable[[GraphTask, Callable[..., None]], GraphRecord]:
    def flops(graph: Graph) -> dict[str, int]:
        counted = graph_flops(graph, config.model.build)
        released = config.model.released_flops(graph.name, size=config.size_px, frames=config.window)
        return counted if released is None else {**counted, "released": released}

    networks = _networks(config, source)
    return graph_exporter(config.graphs(), networks=networks, writer=writer, flops=flops, threads=threads)


def _exporter(config: BuildConfig, threads: int) -> Work:
    """What the second process does with a GraphTask."""
    torch.set_num_threads(threads)
    writer = BundleWriter(config.bundle, preset=config.preset)
    hide_modules()  # for as long as it lives
    return _exporter_of(config, open_weights(config), writer, threads)


def _manifest(
    config: BuildConfig, source: WeightsSource, fingerprints: Mapping[str, str], records: Mapping[str, GraphRecord]
) -> Manifest:
    return Manifest(
        model=config.model.name,
        command=config.words(),
        preset=config.preset,
        precision=config.precision,
        size=(config.size_px, config.size_px),
        frames=config.window,
        weights={
            "kind": source.kind,
            "source": source.source,
            "fingerprint": dict(fingerprints),
            **({"live": source.live_source} if isinstance(source, WithLive) else {}),
            **({"licences": dict(licences)} if (licences := config.model.licences(config.weights)) else {}),
        },
        sampling=config.model.sampling(config.window),
        geometry=config.model.geometry(config.size_px),
        graphs=dict(records),
        versions={"hp_trt": __version__, **exporter_versions()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
