"""`python -m runtime.bench`: how long each stage takes, how much memory, how much arithmetic.

With --profiles, how fast and how good every profile and shortcut is instead (`hp_trt.measure.bench.prices`); with
--soak, how a live session lasts (`hp_trt.measure.bench.soak`); with --growth, what grows with a clip's length
(`hp_trt.measure.bench.growth`). Parses arguments, makes a BenchConfig, calls `bench`,
and shows the report: a table for people, JSON for machines, a picture of the timeline. The JSON's keys, stable within
one `schema` (times in seconds unless a name says _ms):

    format, schema     "hp-trt bench", 1
    machine            cpu, cores, memory_bytes, system, python, onnxruntime, numpy, family, provider, threads, device
    bundle             path, preset, precision, size [H, W], frames, driver "video" | "audio", weights "random" |
                       "published" | "trained", created
    profile            its name
    clip               frames, padded (with the frames made up at its ends), windows (a step; of speech the clips, one
                       after the other), rows [of each step], decoded, steps, rate, seed, runs, warmup
    stages             [stage, count, p50_ms, p90_ms, p99_ms, total_s, share, flops, flops_per_s]; flops null for
                       stages without a network. What a stage's pieces are: portrait_crop and first_face one each,
                       portrait a network, read, crop and write a frame, motion a group of a window's length, denoise a
                       window's step, stitch the same (of speech a step), decode a chunk, finish the encoder's last
                       frames and the sound; of
                       speech: speech a piece of sound and a clip's tokens, motion_frames and reference a clip
    end_to_end         seconds [each run], median_s, frames_per_s, other_s (in no stage)
    first_frame        latency_s, portrait_ready_s: medians
    memory             peak_bytes, opened_bytes, growth_bytes, of this process, before PyTorch is loaded; peak_since
                       "opened" | "start"
    flops              done, released, saved (a fraction), per_s, done_by_stage, released_by_stage
    notes              [a line]: what ran otherwise than it should, such as a graph that could not be captured
    reference          null, or frames, steps, threads, torch, exact_s, reference_s, exact_network_s,
                       reference_network_s (from the crops to the raw frames), ratios [by turn],
                       exact_frames_per_s, reference_frames_per_s, ratio (median), network_ratio, latents_error,
                       frames_error, levels_error
"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if not __package__:  # run as a file: its own folder is on the path then, where the one above should be
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import hp_trt  # noqa: F401  # first: it says so where engines or runtime are not ours
from engines.cores import MOST_THREADS
from engines.errors import InputError
from engines.safe_output import check_outputs, safe_output
from hp_trt.commands import options
from hp_trt.console import Reporter, run
from hp_trt.measure.bench import price_table
from hp_trt.measure.bench.growth import GrowthConfig, growth
from hp_trt.measure.bench.growth import lines as growth_lines
from hp_trt.measure.bench.measure import BenchConfig, bench
from hp_trt.measure.bench.prices import PriceConfig, prices
from hp_trt.measure.bench.soak import SoakConfig, lines, soak
from hp_trt.measure.bench.table import show
from hp_trt.measure.bench.timeline import draw_timeline, titles
from hp_trt.measure.drawing import check_can_draw
from hp_trt.profiles import profiles_file

if TYPE_CHECKING:
    from engines.manifest import Manifest
    from hp_trt.measure.bench.benched import Released

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_RELEASED = {  # model -> the released program, opened where a race is asked for
    "hunyuanportrait": "export.hunyuanportrait.reference.racing:ReleasedProgram",
    "hallo2": "export.hallo2.reference.raced:open_released",
}

Frames = Annotated[
    int | None,
    typer.Option(max=10_000, help="Frames of the driving video, 25ths of a second of sound [50 drawn, or all]."),
]
Audio = Annotated[Path | None, typer.Option(help="Speech to follow, of a bundle that it moves [made up].")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=MOST_THREADS, help="CPU threads, of the reference too [every core].")
]
Weights = Annotated[
    Path | None, typer.Option(help="What the bundle was built from, for the race [random, or pocket's own].")
]
Profiles = Annotated[
    str | None,
    typer.Option(help="Instead: the speed and the quality of these, with commas between; all: shortcuts too."),
]
Soak = Annotated[
    float | None,
    typer.Option("--soak", max=1e7, help="Instead: a live session for so many seconds: rate, latency, memory."),
]
Rate = Annotated[
    float | None, typer.Option(max=1e6, help="With --soak: frames pushed a second [as fast as they are taken].")
]
Growth = Annotated[
    str | None,
    typer.Option("--growth", help="Instead: clips of so many frames, with commas between: first frame, memory."),
]
Picture = Annotated[Path | None, typer.Option(help="With --profiles: draw speed against quality (.png, .svg).")]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where a report goes, and of which of the four measurements it is.

    Checked when made, before the long work; raises OutputError and InputError.
    """

    soak_s: float | None
    growth: str | None
    rate: float | None
    profiles: str | None
    reference: bool
    json: Path | None
    timeline: Path | None
    picture: Path | None
    inputs: Mapping[str, Path | None]  # what is read, by what a message calls it

    def __post_init__(self) -> None:
        files = {"the report": None if self.to_stdout else self.json}
        check_outputs({**files, "the timeline": self.timeline, "the picture": self.picture}, self.inputs)
        for option, drawing in (("--timeline", self.timeline), ("--picture", self.picture)):
            if drawing is not None:
                check_can_draw(drawing, option)
        of_one_profile = self.timeline is not None or self.reference
        if self.soak_s is not None or self.growth is not None:
            alone = "--growth" if self.soak_s is None else "--soak"
            both = self.soak_s is not None and self.growth is not None
            if both or self.profiles is not None or of_one_profile or self.picture is not None:
                raise InputError(f"{alone} stands alone; leave out --profiles, --timeline, --reference and --picture")
        elif self.rate is not None:
            raise InputError("--rate is of an endless source; give --soak SECONDS")
        elif self.profiles is not None:
            if of_one_profile:
                raise InputError("--timeline and --reference are of one profile; leave out --profiles, or these")
        elif self.picture is not None:
            raise InputError("--picture compares profiles; give --profiles all, or --timeline for one")

    @property
    def to_stdout(self) -> bool:
        """Whether the JSON goes to standard output; the table then goes to standard error."""
        return self.json == Path("-")

    def console(self) -> Console:
        return Console(stderr=self.to_stdout, highlight=False)


@app.command()
def command(
    bundle: options.Bundle,
    json: options.ReportFile = None,
    timeline: Annotated[Path | None, typer.Option(help="Draw the stages of the median run (.png, .svg).")] = None,
    portrait: Annotated[Path | None, typer.Option(help="Picture with one face [drawn].")] = None,
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow [drawn].")] = None,
    audio: Audio = None,
    frames: Frames = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    threads: Threads = None,
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    devices: options.Devices = None,
    weight_budget: options.WeightBudget = None,
    warmup: Annotated[int, typer.Option(max=1000, help="Runs before the measured ones.")] = 1,
    runs: Annotated[int, typer.Option(max=1000, help="Measured runs.")] = 3,
    reference: Annotated[bool, typer.Option(help="Race the released algorithm in eager PyTorch, by turns.")] = False,
    reference_frames: Annotated[int | None, typer.Option(max=10_000, help="Frames of that race [as many].")] = None,
    reference_steps: Annotated[int | None, typer.Option(max=1000, help="Steps of that race [as many].")] = None,
    weights: Weights = None,
    profile: options.Profile = "exact",
    profiles: Profiles = None,
    seeds: Annotated[str, typer.Option(help="With --profiles: the drawn clips A to B - 1, as A:B.")] = "0:4",
    soak_s: Soak = None,
    growth_of: Growth = None,
    rate: Rate = None,
    picture: Picture = None,
    debug: options.Debug = False,
) -> None:
    """Measure a bundle on this machine."""
    to = Outputs(
        soak_s=soak_s, growth=growth_of, rate=rate, profiles=profiles, reference=reference, json=json,
        timeline=timeline, picture=picture,
        inputs=_inputs(bundle, portrait, driving, audio, weights, (profile, *_names(profiles))),
    )  # fmt: skip
    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    if soak_s is not None:
        name = "live" if profile == "exact" else profile
        return run_soak(SoakConfig(bundle=bundle, seconds=soak_s, rate=rate, profile=name, **machine), to)
    if growth_of is not None:
        growing = GrowthConfig(bundle=bundle, lengths=_lengths(growth_of), profile=profile, steps=steps, **machine)
        return run_growth(growing, to)
    if profiles is not None:
        pricing = PriceConfig(
            bundle=bundle, profiles=_names(profiles), seeds=seeds, frames=frames, runs=runs, **machine
        )
        return run_prices(pricing, to)
    config = BenchConfig(
        bundle=bundle, portrait=portrait, driving=driving, audio=audio, frames=frames, steps=steps, seed=seed,
        weight_budget_bytes=options.weight_budget_bytes(weight_budget), warmup=warmup, runs=runs,
        devices=options.devices(devices),
        open_released=partial(open_released, weights) if reference else None,
        reference_frames=reference_frames, reference_steps=reference_steps, profile=profile, **machine,
    )  # fmt: skip
    run_bench(config, to)


def _names(profiles: str | None) -> tuple[str, ...]:
    """What --profiles lists."""
    return tuple(name.strip() for name in (profiles or "").split(",") if name.strip())


def _lengths(text: str) -> tuple[int, ...]:
    """What --growth lists; () where that is no list of whole numbers."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(map(int, parts)) if all(part.isdecimal() and len(part) < 9 for part in parts) else ()


def _inputs(
    bundle: Path,
    portrait: Path | None,
    driving: Path | None,
    audio: Path | None,
    weights: Path | None,
    profiles: Sequence[str],
) -> dict[str, Path | None]:
    """What is read, by what a message calls it."""
    driver = {"the driving video": driving, "the sound": audio}
    files = {"the portrait": portrait, **driver, "the bundle": bundle, "the weights": weights}
    return {**files, **{f"the file of {name}": profiles_file(name) for name in profiles}}


def run_soak(config: SoakConfig, to: Outputs) -> None:
    """A live session for a while. Raises what `soak` raises, and OutputError."""
    with Reporter() as report:
        lasted = soak(config, lambda what, done, total: report.advance("soak", done, total, label=what))
    for line in lines(lasted):
        to.console().print(line, markup=False, soft_wrap=True)
    _hand_out(lasted, to.json)


def run_growth(config: GrowthConfig, to: Outputs) -> None:
    """Clips of several lengths. Raises what `growth` raises, and OutputError."""
    with Reporter() as report:
        grown = growth(config, lambda what, done, total: report.advance("growth", done, total, label=what))
    for line in growth_lines(grown):
        to.console().print(line, markup=False, soft_wrap=True)
    _hand_out(grown, to.json)


def run_prices(config: PriceConfig, to: Outputs) -> None:
    """Every profile's speed and quality. Raises what `prices` raises, and OutputError."""
    with Reporter() as report:
        listed = prices(config, lambda what, done, total: report.advance("prices", done, total, label=what))
    price_table.show(listed, to.console())
    _hand_out(listed, to.json)
    if to.picture is not None:
        with safe_output(to.picture) as part:
            price_table.draw_pareto(listed, part, to.picture.suffix)


def run_bench(config: BenchConfig, to: Outputs) -> None:
    """One profile, stage by stage. Raises what `bench` raises, and OutputError."""
    with Reporter() as report:
        result = bench(config, lambda what, done, total: report.advance("bench", done, total, label=f"bench: {what}"))
    show(result.report, to.console())
    _hand_out(result.report, to.json)
    if to.timeline is not None:
        facts = titles(result.report)
        with safe_output(to.timeline) as part:
            draw_timeline(result.spans, part, to.timeline.suffix, wall_s=result.wall_s, **facts)


def open_released(weights: Path | None, manifest: Manifest, threads: int | None) -> Released:
    """The released program, from the storey that has PyTorch; `weights` is what the bundle was built from.

    Raises InputError when they are not the bundle's, CheckpointError.
    """
    module, _, name = _RELEASED[manifest.model].partition(":")
    opened: Released = getattr(import_module(module), name)(manifest, weights=weights, threads=threads)
    return opened


def main() -> None:
    """Run the command."""
    run(app, json_events=False)


def _hand_out(report: Any, json: Path | None) -> None:
    text = jsonlib.dumps(report, indent=2) + "\n"
    if json == Path("-"):
        print(text, end="")
    elif json is not None:
        with safe_output(json) as part:
            part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
