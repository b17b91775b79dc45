"""`hp-trt live`: a portrait, moved while the driving frames, or somebody's words, arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig, one_of
from hp_trt.console import Reporter
from hp_trt.provenance.options import Provenance

if TYPE_CHECKING:
    from hp_trt.live.queues import Policy
    from hp_trt.live.run import LiveConfig, Opened
    from hp_trt.model import Driver
    from hp_trt.provenance.run_seal import Prepared

OUT = "A file, window, /dev/videoN (a virtual camera), - (standard output), a URL that FFmpeg writes, or null:."
Driving = Annotated[
    str | None,
    typer.Option(help="Frames to follow: camera:0, a file, of motion too, a URL FFmpeg reads, - (standard input)."),
]
Audio = Annotated[
    str | None, typer.Option(help="Or speech: mic:0, a file, a URL that FFmpeg reads, or - (standard input).")
]
Late = Annotated[str | None, typer.Option(help="When it is late: drop-oldest, latest, block (so at --pace fast).")]
Container = Annotated[
    str | None, typer.Option("--format", help="Of standard output: mpegts or y4m; of a URL: FFmpeg's name.")
]
Timeout = Annotated[float, typer.Option(max=1e6, help="Seconds to wait for a source or receiver that does nothing.")]

_INSTEAD: dict[str, str] = {"video": "give --audio SOURCE", "audio": "give --driving SOURCE"}


@options.carrying
def live(
    provenance: Provenance,
    bundle: options.Bundle,
    portrait: options.Portrait,
    out: Annotated[str, typer.Option(help=OUT)],
    driving: Driving = None,
    audio: Audio = None,
    profile: Annotated[str, typer.Option(help="How much quality for how much speed: a name, or a TOML file.")] = "live",
    policy: Late = None,
    pace: Annotated[str, typer.Option(help="Of a recording: own, or fast (as quick as it can be animated).")] = "own",
    seconds: Annotated[float | None, typer.Option(max=1e9, help="Stop after so much of the source.")] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Only the square around the face.")] = False,
    container: Container = None,
    allow_playlist: options.AllowPlaylist = False,
    timeout: Timeout = 10.0,
    seed: options.Seed = None,
    mood: options.Mood = None,
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    driving_landmarks: options.DrivingLandmarks = None,
    arcface: options.Arcface = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Animate a portrait while its driver arrives, frames or speech. Ctrl-C ends it; what was recorded is complete."""
    from hp_trt.live.queues import POLICIES
    from hp_trt.live.run import PACES, LiveConfig, claim_stdout, prepare_seal, run_live
    from hp_trt.streams.sinks import STDOUT

    stdout_fd = claim_stdout() if out == STDOUT else 1  # first: an error's line of JSON is no video
    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=arcface)
    runtime = RuntimeConfig(profile=profile, **machine, **finder)
    faces = {"landmarks": driving_landmarks, "portrait_landmarks": portrait_landmarks}
    driver, source = _one_source(driving, audio, driving_landmarks, mood)
    config = LiveConfig(
        driving=source,
        driver=driver,
        out=out,
        pace=one_of("pace", pace, PACES),
        policy=None if policy is None else one_of("policy", policy, POLICIES),
        seconds=seconds,
        container_format=container,
        crop=crop,
        timeout_s=timeout,
        allow_playlist=allow_playlist,
        inputs=runtime.inputs(bundle=bundle, portrait=portrait, **faces),
    )
    _check_bundle(bundle, driver, runtime, mood, source, driving_landmarks)  # before a camera is opened
    prepared = prepare_seal(config, provenance)
    with Reporter(as_json=json, bars=False) as report:
        opened = partial(bundle_session, bundle, portrait, runtime, faces, seed, mood, report, config, prepared)
        outcome = run_live(config, lambda policy: opened(policy=policy), report, stdout_fd=stdout_fd)
    if outcome.signal is not None:
        raise SystemExit(128 + outcome.signal)  # not typer's own way, which would call Ctrl-C an error


def _one_source(
    driving: str | None, audio: str | None, driving_landmarks: Path | None, mood: str | None
) -> tuple[Driver, str]:
    """What the source is, and its name. Raises InputError unless there is one."""
    if (driving is None) == (audio is None):
        found = "neither --driving nor --audio" if driving is None else "both --driving and --audio"
        raise InputError(f"{found} given; a portrait is moved by one of them: --driving camera:0, or --audio mic:0")
    if audio is None:
        assert driving is not None
        if mood is not None:
            raise InputError("--mood goes with --audio, got --driving; leave it out")
        return "video", driving
    if driving_landmarks is not None:
        raise InputError("--driving-landmarks are of a driving video, and speech has no face; leave them out")
    return "audio", audio


def _check_bundle(
    bundle: Path,
    driver: Driver,
    runtime: RuntimeConfig,
    mood: str | None,
    source: str,
    driving_landmarks: Path | None,
) -> None:
    """Raises InputError unless the driver moves the bundle's portraits, live with the profile of `runtime`, in that
    mood; and for a motion file that cannot."""
    from hp_trt.models import check_takes, profile_of
    from hp_trt.profiles import require_live

    option = "--audio" if driver == "audio" else "--driving"
    check_takes(bundle, driver, f"hp-trt live {option}", _INSTEAD[driver])
    profile = require_live(profile_of(bundle, runtime))
    if mood is not None:  # of speech alone, which one model has
        from engines.bundle import Bundle
        from hp_trt.hallo2.profiles import sampling_of_bundle

        asked = replace(profile, sampling={**profile.sampling, "mood": mood})
        sampling_of_bundle(Bundle.open(bundle, family="").manifest, asked)
    _check_motion(bundle, driver, source, runtime, driving_landmarks)


def _check_motion(
    bundle: Path, driver: Driver, source: str, runtime: RuntimeConfig, driving_landmarks: Path | None
) -> None:
    """Raises InputError for a motion file that cannot drive this bundle's portraits live."""
    from engines.bundle import Bundle
    from hp_trt.encoded.driver import EncodedDriver
    from hp_trt.encoded.encoded_file import is_encoded
    from hp_trt.encoded.kept_portrait import refuse_landmarks
    from hp_trt.models import find_model, profile_of
    from hp_trt.streams.sources import local_file

    if driver == "video" and is_encoded(file := local_file(source)):
        refuse_landmarks(driving_landmarks, source)
        opened = Bundle.open(bundle, family="")
        find_model(opened).check_motion(opened, EncodedDriver(Path(file)), profile_of(opened, runtime))


@contextmanager
def bundle_session(
    bundle: Path,
    portrait: Path,
    config: RuntimeConfig,
    faces: Mapping[str, Path | None],
    seed: int | None,
    mood: str | None,
    report: Reporter,
    live_config: LiveConfig,
    prepared: Prepared | None,
    *,
    policy: Policy,
) -> Iterator[Opened]:
    """A session of the bundle with the profile of `config`, one of mode live, for as long as the block lasts.

    `faces`: the files that say where faces are, by the names of `RuntimeConfig.inputs`.
    """
    from hp_trt.api import Runtime
    from hp_trt.interface.sealing import seal_of_run
    from hp_trt.live.run import Opened

    with Runtime(bundle, config) as runtime:
        report.note_weights(runtime.bundle.manifest)
        for note in runtime.notes:
            report.note(note)
        who = runtime.portrait(portrait, landmarks=faces["portrait_landmarks"])
        for note in who.notes:
            report.note(note)
        height, width = who.image.shape[:2]
        side = runtime.bundle.manifest.geometry["crop_px"]
        with runtime.live(
            who, profile=runtime.profile, policy=policy, landmarks=faces["landmarks"], seed=seed, mood=mood
        ) as session:
            sampled = (
                runtime.profile
                if seed is None
                else replace(runtime.profile, sampling={**runtime.profile.sampling, "seed": seed})
            )
            read = live_config.files_read
            made_of = (runtime.model, runtime.bundle, config, sampled, who, read)
            seal = seal_of_run(prepared, *made_of, notes=runtime.notes)
            yield Opened(session=session, full=(width, height), crop=(side, side), seal=seal)
