"""Commands that are killed at any moment: nothing torn, the next run works, and leaves nothing behind.

Real processes, because how one begins and ends is what is tried. A kill is SIGKILL more often than not, else SIGTERM or
Ctrl-C, at a moment of chance within the time that the command takes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import HpTrtError
from tests.attack.case import seen, torn
from tests.attack.media_cases import animate, live, talk
from tests.attack.seeds import Seeds
from tests.hp_trt.hallo2.sounds import tone, write_sound

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# A few steps of each phase: of a real training everything but the patience.
_TRAINING = (
    "--clips=2",
    "--frames=8",
    "--drivers=2",
    "--autoencoder-steps=3",
    "--motion-steps=3",
    "--denoiser-steps=3",
)
_SPEECH_S = 0.5
_TRAINING_MORE = ("--made=1", "--decoder-steps=3", "--threads=1", "--json")


@dataclass
class Kills:
    """How often a command was killed, and what was wrong then."""

    count: int = 0
    done: int = 0  # runs beside that were over before
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A command to kill. `outputs`: files that are old or whole, at any moment."""

    words: tuple[str, ...]
    outputs: tuple[Path, ...]
    seconds: float  # that it takes about
    good: Callable[[], str]  # what is wrong with what a complete run has made; empty: nothing
    kept: Callable[[str], bool] = lambda name: False  # what a killed run may leave for the next


def kill_all(seeds: Seeds, *, each: int, seed: int, tell: Callable[[str], None]) -> Mapping[str, Kills]:
    """`each` kills of every command."""
    found = {}
    for name, make in _VICTIMS.items():
        with tempfile.TemporaryDirectory(prefix="hp-trt-kills-") as folder:
            rng = random.Random(f"{seed} {name}")
            found[name] = _killed(name, make(seeds, Path(folder)), Path(folder), each, rng, tell)
    return found


def _killed(
    name: str, victim: Victim, folder: Path, each: int, rng: random.Random, tell: Callable[[str], None]
) -> Kills:
    kills = Kills()
    while kills.count < each:
        in_a_row = min(rng.choice((1, 2, 4)), each - kills.count)
        for _ in range(in_a_row):
            before = {path: seen(path) for path in victim.outputs if path.exists()}
            number, after_s = rng.choice(_SIGNALS), rng.uniform(0, victim.seconds)
            over = _kill(victim.words, number, after_s)
            kills.done += over
            kills.count += not over
            for path in victim.outputs:
                if path in before and not path.exists():
                    kills.faults.append(
                        f"{name}: destroyed: {path.name} is gone after {number.name} at {after_s:.2f} s"
                    )
                elif path.exists() and seen(path) != before.get(path) and (why := torn(path)):
                    kills.faults.append(f"{name}: torn: {path.name} after {number.name} at {after_s:.2f} s: {why}")
        kills.faults += [f"{name}: {fault}" for fault in _whole_run(victim, folder)]
        tell(f"{name}: {kills.count} kills, {len(kills.faults)} faults")
    return kills


def _kill(words: tuple[str, ...], number: signal.Signals, after_s: float) -> bool:
    """Whether the command was over before."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        process.wait(after_s)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, number)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise RuntimeError(f"{' '.join(words)} did not end within 60 s of {number.name}") from None
    return False


def _whole_run(victim: Victim, folder: Path) -> Iterator[str]:
    """What is wrong with a run that nobody kills, and with what it leaves."""
    run = subprocess.run([sys.executable, "-m", *victim.words], capture_output=True, text=True, timeout=600)
    if run.returncode:
        yield f"no resume: {run.stderr.strip().splitlines()[-1:]}"
    if why := victim.good():
        yield f"no resume: {why}"
    for place, _, files in os.walk(folder):
        for name in files:
            hidden = (name.startswith(".") and name != ".lock") or name.endswith((".part", ".tmp"))
            hidden = hidden or place.endswith(".resume")  # of a run that is over nothing is kept
            if hidden and not victim.kept(name):
                yield f"left: {Path(place, name).relative_to(folder)}"


def _clip(seeds: Seeds, folder: Path) -> Victim:
    words, outputs = animate(seeds, folder, crop_out=folder / "crop.mp4", sheet=folder / "sheet.png", steps=5)
    outputs = (*outputs, folder / "crop.mp4", folder / "sheet.png")
    return Victim(words=("hp_trt", *words), outputs=outputs, seconds=3.0, good=_all_whole(outputs))


def _kept_clip(seeds: Seeds, folder: Path) -> Victim:
    words, outputs = animate(seeds, folder, steps=5)
    return Victim(words=("hp_trt", *words, "--resume"), outputs=(), seconds=3.0, good=_the_same(outputs[0]))


def _speech(seeds: Seeds, folder: Path) -> Victim:
    words, outputs = talk(seeds, folder, audio=_longer_speech(folder), steps=5)
    return Victim(words=("hp_trt", *words), outputs=outputs, seconds=4.0, good=_all_whole(outputs))


def _kept_speech(seeds: Seeds, folder: Path) -> Victim:
    words, outputs = talk(seeds, folder, audio=_longer_speech(folder), steps=5)
    return Victim(words=("hp_trt", *words, "--resume"), outputs=(), seconds=4.0, good=_the_same(outputs[0]))


def _longer_speech(folder: Path) -> Path:
    """Of several clips, each begun with frames of the one before."""
    return write_sound(folder / "speech.wav", tone(_SPEECH_S, rate=16_000), 16_000)


def _stream(seeds: Seeds, folder: Path) -> Victim:
    words, _ = live(seeds, folder, out=folder / "live.mp4")
    return Victim(
        words=("hp_trt", *words),
        outputs=(folder / "live.mp4",),
        seconds=3.0,
        good=_all_whole((folder / "live.mp4",)),
        kept=lambda name: name.endswith(".part"),  # a recording that was killed is played, kept or removed by its user
    )


def _evaluation(seeds: Seeds, folder: Path) -> Victim:
    report, plot = folder / "report.json", folder / "plot.png"
    words = ("hp_trt", "evaluate", "--protocol=self", "--seeds=0:1", "--frames=3", "--steps=1")
    words = (*words, f"--bundle={seeds.bundle}", f"--json={report}", f"--plot={plot}")
    return Victim(words=words, outputs=(report, plot), seconds=5.0, good=_all_whole((report, plot)))


def _build(seeds: Seeds, folder: Path) -> Victim:
    bundle = folder / "bundle"

    def good() -> str:
        try:
            Bundle.open(bundle)
        except HpTrtError as error:
            return str(error)
        left = [path.name for path in (bundle / ".build").iterdir()] if (bundle / ".build").exists() else []
        shutil.rmtree(bundle)  # the next one begins anew
        return f".build has {left}" if left else ""

    exporter = ("tests.export.copying_exporter", str(seeds.bundle), "--preset", "small", "--random-weights")
    return Victim(
        words=(*exporter, "--bundle", str(bundle)), outputs=(bundle / "manifest.json",), seconds=12.0, good=good
    )


def _training(seeds: Seeds, folder: Path) -> Victim:
    run = folder / "run"
    weights = run / "pocket.safetensors"
    first: list[str] = []

    def good() -> str:
        if not weights.exists():
            return "no weights"
        made = seen(weights)
        shutil.rmtree(run)
        first.append(made)
        return "" if made == first[0] else "the weights are not those of the first run"

    words = ("export.train", "--run", str(run), *_TRAINING, *_TRAINING_MORE)
    return Victim(words=words, outputs=(weights,), seconds=15.0, good=good)


def _the_same(path: Path) -> Callable[[], str]:
    """A whole file, which then goes, so that the next run makes it again: always the one that the first run made."""
    first: list[str] = []

    def good() -> str:
        if why := _all_whole((path,))():
            return why
        first.append(seen(path))
        path.unlink()
        return "" if first[-1] == first[0] else "the result is not that of the first run"

    return good


def _all_whole(paths: tuple[Path, ...]) -> Callable[[], str]:
    def good() -> str:
        for path in paths:
            if not path.exists():
                return f"{path.name} is not there"
            if why := torn(path):
                return f"{path.name}: {why}"
        return ""

    return good


_VICTIMS = {
    "build": _build,
    "animate": _clip,
    "animate --resume": _kept_clip,
    "animate --audio": _speech,
    "animate --audio --resume": _kept_speech,
    "live": _stream,
    "evaluate": _evaluation,
    "train": _training,
}


def kill_lines(found: Mapping[str, Kills]) -> Iterator[str]:
    """The second table of docs/reliability.md."""
    yield "| command | kills | over before | torn or destroyed | no resume | left behind |"
    yield "|---|---:|---:|---:|---:|---:|"
    total = Counter[str]()
    for name, kills in found.items():
        counts = Counter(fault.split(": ")[1] for fault in kills.faults)
        cells = (kills.count, kills.done, counts["torn"] + counts["destroyed"], counts["no resume"], counts["left"])
        total += Counter(dict(zip("abcde", cells, strict=True)))
        yield f"| {name} | " + " | ".join(map(str, cells)) + " |"
    yield "| all | " + " | ".join(str(total[key]) for key in "abcde") + " |"
