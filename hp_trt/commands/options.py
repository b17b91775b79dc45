"""The options that several commands have, each written once, and the values that they stand for.

A command takes them by name, `family: options.Family = "onnxruntime"`, and keeps its defaults to itself. An option of
one command alone stands there. typer gives strings and numbers: `machine`, `finder`, `weight_budget_bytes` and
`sampling` make of them what configs take, and `hp_trt.config.one_of` does it for an option of one command.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypedDict, get_args

import typer
from typer.core import TyperCommand

from engines import families
from engines.cores import MOST_THREADS
from engines.errors import InputError
from hp_trt import config, shipped
from hp_trt.faces import locators
from hp_trt.provenance.options import Provenance

MOST_SEED = 2**63 - 1

_SHIPPED = f"{shipped.POCKET_BUNDLE} or {shipped.TALK_POCKET_BUNDLE}, which come with hp-trt"
BUNDLE = f"Folder made by python -m export.build_engines, or {_SHIPPED}."
Bundle = Annotated[Path, typer.Option(parser=shipped.bundle_folder, metavar="PATH", help=BUNDLE)]
Portrait = Annotated[Path, typer.Option(help="Picture with one face, or a portrait file.")]
Steps = Annotated[int | None, typer.Option(min=1, max=1000, help="Denoising steps [bundle's own].")]
Seed = Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="Of the initial noise [bundle's own].")]
AppearanceScale = Annotated[
    float | None, typer.Option(min=-1000, max=1000, help="Guidance to the portrait [bundle's own].")
]
MotionScale = Annotated[float | None, typer.Option(min=-1000, max=1000, help="Guidance to the motion [bundle's own].")]
Guidance = Annotated[
    float | None, typer.Option(min=1, max=1000, help="Of speech: guidance to sound and portrait [bundle's own].")
]
MotionWeights = Annotated[
    str | None, typer.Option(help="Of speech: how much of it moves pose, face and lips, as 1,1,1.2 [1,1,1].")
]
Mood = Annotated[str | None, typer.Option(help="Of speech: happy, or happy:0.5, where the weights know moods.")]
Vocals = Annotated[Path | None, typer.Option(help="Kim_Vocal_2.onnx, which takes music away from speech.")]
Profile = Annotated[str, typer.Option(help="exact, balanced, live, or FILE.toml[:NAME].")]
Family = Annotated[str, typer.Option(help="onnxruntime, openvino, tensorrt, tensorrt-rtx or auto.")]
Provider = Annotated[str, typer.Option(help="Of ONNX Runtime: cpu or cuda.")]
Devices = Annotated[
    str | None, typer.Option(metavar="N,N", help="Several GPUs for one clip; on a CPU processes [--device alone].")
]
Device = Annotated[int, typer.Option(min=0, max=config.LAST_GPU, help="Which GPU, from 0.")]
WeightBudget = Annotated[
    float | None,
    typer.Option(
        min=0, max=1 << 20, help="GiB of each graph's weights to keep on the GPU, if plans stream them [all]."
    ),
]
MaxFrames = Annotated[int, typer.Option(min=1, max=1_000_000, help="The longest driving video that is taken.")]
Threads = Annotated[int | None, typer.Option(min=1, max=MOST_THREADS, help="CPU threads [every core].")]
Locator = Annotated[str, typer.Option(help="Face finder: haar, yunet, yoloface or mesh.")]
LocatorFile = Annotated[Path | None, typer.Option(help="The face finder's own file [mesh: as fetched].")]
PortraitLandmarks = Annotated[Path | None, typer.Option(help="Where the portrait's face is (JSON).")]
DrivingLandmarks = Annotated[Path | None, typer.Option(help="Where the driving faces are (JSON).")]
Arcface = Annotated[Path | None, typer.Option(help="arcface.onnx or glintr100.onnx, for the identity vector.")]
Decoder = Annotated[str, typer.Option(help="Of the driving video: cpu, or nvdec (NVIDIA's, H.264 and HEVC).")]
Encoder = Annotated[str, typer.Option(help="Of the result: cpu (libx264), or nvenc (NVIDIA's).")]
ReportFile = Annotated[Path | None, typer.Option(help="Write the report here; - is standard output.")]
AllowPlaylist = Annotated[
    bool, typer.Option("--allow-playlist", help="Open a URL's HLS or DASH playlist, and the addresses in it.")
]
Json = Annotated[bool, typer.Option("--json", help="Every event as a line of JSON on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_PANEL = "What files carry of their origin (docs/provenance.md)"
# By the command's parameter: of `Provenance`, as `carrying` reads them.
_CARRIED: dict[str, tuple[Any, Any, str]] = {
    "no_mark": (bool, False, "No invisible mark."),
    "no_credentials": (bool, False, "No Content Credentials."),
    "no_sidecar": (bool, False, "No OUT.json beside each file."),
    "label": (bool, False, "A visible sign in the corner."),
    "mark_id": (str | None, None, "The mark's 8 hex digits [random ones]."),
    "consent": (str | None, None, "What to say of the consent of whoever is shown."),
    "sign_chain": (Path | None, None, "Certificates to sign with (PEM) [a local key's]."),
    "sign_key": (Path | None, None, "The private key of the first of them (PEM)."),
}


def folder(text: str) -> Path:
    """What names a folder that is written into. An empty text would be the current one, which nobody named."""
    if not text:
        raise typer.BadParameter("an empty name; give a folder, . is the current one")
    return Path(text)


class Machine(TypedDict):
    """What of a RuntimeConfig says where the graphs run."""

    family: families.FamilyName | families.Auto
    provider: families.Provider
    device_id: int
    threads: int | None


class Finder(TypedDict):
    """What of a RuntimeConfig says who finds the faces, and how they are known."""

    locator: locators.Locator
    locator_file: Path | None
    arcface: Path | None


class Coders(TypedDict):
    """What of a RuntimeConfig says who decodes the driving video, and who encodes the result."""

    decoder: config.Decoder
    encoder: config.Encoder


def machine(*, family: str, provider: str, device: int, threads: int | None) -> Machine:
    """The options of those names. Raises InputError for a word that is no choice."""
    return {
        "family": config.one_of("family", family, (*families.FAMILY_NAMES, families.AUTO)),
        "provider": config.one_of("provider", provider, families.PROVIDERS),
        "device_id": device,
        "threads": threads,
    }


def finder(*, locator: str, locator_file: Path | None, arcface: Path | None) -> Finder:
    """The options of those names. Raises InputError for a word that is no choice."""
    chosen = config.one_of("locator", locator, locators.LOCATORS)
    return {"locator": chosen, "locator_file": locator_file, "arcface": arcface}


def coders(decoder: str, encoder: str) -> Coders:
    """The options of those names. Raises InputError for a word that is no choice."""
    return {
        "decoder": config.one_of("decoder", decoder, get_args(config.Decoder)),
        "encoder": config.one_of("encoder", encoder, get_args(config.Encoder)),
    }


def devices(text: str | None) -> tuple[int, ...]:
    """What --devices says: numbers with commas between. Raises InputError."""
    words = [] if text is None else text.split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() for word in words):
        raise InputError(f"--devices are numbers with commas between, as 0,1, got {text}")
    return tuple(int(word) for word in words)


def weight_budget_bytes(gib: float | None) -> int | None:
    """What --weight-budget says in bytes. Raises InputError."""
    if gib is None:
        return None
    if not (math.isfinite(gib) and gib >= 0):
        raise InputError(f"--weight-budget is a number of GiB of at least 0, got {gib}; leave it out to keep all")
    return round(gib * 2**30)


def sampling(
    *,
    steps: int | None,
    seed: int | None,
    appearance_scale: float | None,
    motion_scale: float | None,
    guidance: float | None = None,
    motion_weights: str | None = None,
    mood: str | None = None,
) -> dict[str, Any]:
    """What `Runtime.animate` takes for the options of those names; None leaves the bundle's own."""
    return {
        "steps": steps,
        "seed": seed,
        "guidance": guidance,
        "motion_weights": None if motion_weights is None else three_numbers("--motion-weights", motion_weights),
        "mood": mood,
        "guidance_appearance": None if appearance_scale is None else (appearance_scale, appearance_scale),
        "guidance_motion": None if motion_scale is None else (motion_scale, motion_scale),
    }


def three_numbers(option: str, text: str) -> tuple[float, float, float]:
    """What an option of three numbers says. Raises InputError."""
    try:
        first, second, third = (float(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"{option} is three numbers, for pose, face and lips, as 1,1,1.2; got {text[:60]!r}") from None
    return first, second, third


def carrying(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of what its files carry, which come to it as one argument `provenance`."""
    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel=_PANEL)],
        )
        for name, (kind, default, text) in _CARRIED.items()
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        carried = {name: given.pop(name) for name in _CARRIED}
        command(**given, provenance=provenance(**carried))

    own = [one for one in signature.parameters.values() if one.name != "provenance"]
    with_options.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return with_options


def provenance(
    *,
    no_mark: bool,
    no_credentials: bool,
    no_sidecar: bool,
    label: bool,
    mark_id: str | None,
    consent: str | None,
    sign_chain: Path | None,
    sign_key: Path | None,
) -> Provenance:
    """What the options of those names ask for. Raises InputError."""
    if mark_id is not None and not re.fullmatch(r"[0-9a-fA-F]{8}", mark_id):
        raise InputError(f"--mark-id is 8 hex digits, as 0a1b2c3d, got {mark_id[:60]!r}")
    return Provenance(
        mark=not no_mark,
        credentials=not no_credentials,
        sidecar=not no_sidecar,
        label=label,
        mark_id=None if mark_id is None else int(mark_id, 16),
        consent=consent,
        sign_chain=sign_chain,
        sign_key=sign_key,
    )


class Grouped(TyperCommand):
    """A command whose help shows the options of a panel together, below the others."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is not None:
                panel = getattr(param, "rich_help_panel", None) or "Options"
                sections.setdefault(panel, []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)
