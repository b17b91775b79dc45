"""Options, outputs and surroundings: numbers that are none, places that cannot be written, streams that are closed."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

from tests.attack.case import DONE, EITHER, REFUSED, Case
from tests.attack.hostile import NUMBERS, damaged
from tests.attack.media_cases import animate, live, talk
from tests.attack.seeds import Seeds

_WORDS = (
    "",
    "x",
    "EXACT",
    "../x",
    "\x1b[2J",
    "a" * 5000,
    "none",
    "-",
    "--",
    "💥",
    "\udce9",
    "1:2:3",
    "0:0",
    "5:1",
    "-1:1",
)
_RUNS = ("family", "provider", "device", "threads")
_OPTIONS = {
    "animate": (*_RUNS, *"steps seed appearance-scale motion-scale profile weight-budget locator locator-file".split()),
    "live": (*_RUNS, *"profile policy pace seconds format timeout seed locator locator-file nonsense".split()),
    "plan": (*_RUNS, *"gpu profile preset size frames steps precision rate fps latency attainable".split()),
    "evaluate": (*_RUNS, *"protocol seeds pairs frames profile steps seed motion-scale locator json plot".split()),
    "sample": ("seed", "frames", "out"),
}


def option(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """An option's value that is none, or as large as numbers are."""
    command = rng.choice(list(_OPTIONS))
    name = rng.choice(_OPTIONS[command])
    value = rng.choice((*NUMBERS, *_WORDS))
    outputs: tuple[Path, ...] = ()
    if command == "animate":
        words, outputs = animate(seeds, folder)
    elif command == "live":
        words, outputs = live(seeds, folder)
    elif command == "plan":
        words = ("plan", "--gpu=H200", "--preset=pocket")
    elif command == "evaluate":
        words = ("evaluate", "--protocol=self", "--seeds=0:1", "--frames=1", "--steps=1", f"--bundle={seeds.bundle}")
    else:
        words, outputs = ("sample", f"--out={folder / 'sample'}", "--frames=1"), (folder / "sample",)
    if name in ("json", "plot") or (name, command) == ("out", "sample"):
        value = rng.choice(("", "/", "/proc/x", "/nowhere/x.json", "a" * 300))
    words = (*(word for word in words if not word.startswith(f"--{name}=")), f"--{name}={value}")
    return Case(family="options", name=f"{command} --{name}={value[:40]!r}", words=words, outputs=outputs)


def speech(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """Options of speech that are none; a sound, an output or a folder of an unfinished run where another thing lies."""
    mine = folder / "mine"
    mine.mkdir()
    own = Path(shutil.copy(seeds.speech, mine / "own.mp4"))
    out, kept = mine / "out.mp4", mine / "out.mp4.resume"
    (mine / "link.mp4").symlink_to(own)
    given: dict[str, object] = {"out": out}
    more: tuple[str, ...] = ()
    kind, codes = rng.random(), frozenset({REFUSED})
    if kind < 0.4:
        name = rng.choice(("guidance", "motion-weights", "mood", "steps", "seed", "vocals", "arcface", "threads"))
        value = rng.choice((*NUMBERS, *_WORDS, "1,1", "nan,1,1", "1,1,1e9", ",,", "1,1,1.2", "happy"))
        given, codes, how = {**given, name: value}, EITHER, f"--{name}={value[:40]!r}"
    elif kind < 0.6:
        how = rng.choice(("appearance-scale", "motion-scale", "driving-landmarks", "driving"))
        given[how] = {"driving": seeds.driving, "driving-landmarks": seeds.driving_landmarks}.get(how, 2)
    elif kind < 0.75:
        how = rng.choice(("the sound", "a link to it", "a wav", "a folder"))
        places = {"the sound": own, "a link to it": mine / "link.mp4", "a wav": mine / "o.wav", "a folder": mine}
        given |= {"audio": own, "out": places[how]}
    else:
        how = rng.choice(("of others", "a file", "a link", "nothing"))
        if how == "a file":
            kept.write_text("mine")
        elif how == "of others":
            kept.mkdir()
            (kept / "mine.txt").write_text("precious")
        elif how == "a link":
            (mine / "elsewhere").mkdir()
            (mine / "elsewhere" / "mine.txt").write_text("precious")
            kept.symlink_to(mine / "elsewhere")
        else:
            codes = frozenset({DONE})
        more = rng.choice(((), ("--resume",), ("--restart",)))
        how = f"a folder of an unfinished run: {how} {' '.join(more)}"
    words, _ = talk(seeds, folder, **given)
    return Case(family="speech", name=how, words=(*words, *more), outputs=(out,), codes=codes)


def output(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """An output on top of an input, a bundle, another output, or of what is no file."""
    mine = folder / "mine"
    mine.mkdir()
    portrait, driving = mine / "portrait.png", mine / "driving.mp4"
    shutil.copy(seeds.portrait, portrait)
    shutil.copy(seeds.driving, driving)
    landmarks = Path(shutil.copy(seeds.portrait_landmarks, mine / "portrait.json"))
    bundle = Path(shutil.copytree(seeds.bundle, mine / "bundle"))
    os.link(driving, mine / "hard.mp4")
    (mine / "soft.mp4").symlink_to(driving)
    (mine / "folder.mp4").mkdir()
    os.mkfifo(mine / "pipe.mp4")
    _device(mine / "device.mp4")
    (mine / "away.mp4").symlink_to("/nowhere/at/all.mp4")
    option, place = rng.choice(
        (
            ("out", driving),
            ("out", mine / "hard.mp4"),
            ("out", mine / "soft.mp4"),
            ("out", mine / ".." / "mine" / "driving.mp4"),
            ("out", mine / "folder.mp4"),
            ("out", mine / "pipe.mp4"),
            ("out", mine / "away.mp4"),
            ("out", bundle / "x.mp4"),
            ("out", bundle / "onnx" / "x.mp4"),
            ("out", bundle / "manifest.json"),
            ("out", portrait),
            ("out", mine / "device.mp4"),
            ("out", "/proc/x.mp4"),
            ("out", mine / ("n" * 252 + ".mp4")),
            ("out", ""),
            ("crop_out", driving),
            ("crop_out", folder / "out.mp4"),
            ("crop_out", bundle / "c.mp4"),
            ("sheet", portrait),
            ("sheet", bundle / "s.png"),
            ("sheet", mine / "folder.mp4"),
        )
    )
    make = live if option == "out" and rng.random() < 0.3 else animate
    own = {"bundle": bundle, "portrait": portrait, "driving": driving, "portrait_landmarks": landmarks}
    if make is live:
        own["bundle"] = seeds.live_bundle
        if str(bundle) in str(place):
            own["bundle"] = bundle
    words, outputs = make(seeds, folder, **(own | {option: place}))
    if option == "out":
        outputs = ()
    name = f"{words[0]} --{option} is {str(place).replace(str(folder), '')[:40] or 'empty'}"
    return Case(family="outputs", name=name, words=words, outputs=outputs, codes=frozenset({REFUSED}))


def _device(path: Path) -> None:
    """A device of this case's own: who replaces the system's breaks the machine. Or a pipe."""
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        os.mkfifo(path)


def report(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """An evaluation's report on top of what it reads."""
    pair = folder / "pairs" / "a"
    pair.mkdir(parents=True)
    shutil.copy(seeds.portrait, pair / "portrait.png")
    shutil.copy(seeds.driving, pair / "driving.mp4")
    bundle = Path(shutil.copytree(seeds.bundle, folder / "bundle"))
    _device(folder / "device.json")
    option, place = rng.choice(
        (
            ("json", pair / "driving.mp4"),
            ("json", pair / "portrait.png"),
            ("json", bundle / "manifest.json"),
            ("json", bundle / "report.json"),
            ("json", folder / "pairs"),
            ("json", folder / "device.json"),
            ("plot", bundle / "p.png"),
            ("plot", pair / "portrait.png"),
            ("plot", folder / "nowhere" / "p.png"),
        )
    )
    words = ("evaluate", "--protocol=cross", f"--pairs={folder / 'pairs'}", f"--bundle={bundle}", "--steps=1")
    return Case(
        family="outputs",
        name=f"evaluate --{option} is {str(place).replace(str(folder), '')}",
        words=(*words, f"--{option}={place}"),
        codes=frozenset({REFUSED}),
    )


def surroundings(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """Closed or full streams, a plain locale, a small disk, few descriptors; a good clip otherwise."""
    folder = folder / "ünder"
    folder.mkdir()
    words, outputs = rng.choice((animate, live))(seeds, folder)
    old = rng.random() < 0.5
    if old:
        outputs[0].write_bytes(seeds.videos["mkv" if outputs[0].suffix == ".mkv" else "mp4"].read_bytes())
    name, before, codes = rng.choice(_SURROUNDINGS)
    environment = rng.choice(({}, {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}))
    if rng.random() < 0.3:
        words = (*words, "--json")
    return Case(
        family="surroundings",
        name=f"{' '.join((words[0], *words[-1:]))[:20]}: {name}, {environment}{', over an old file' if old else ''}",
        words=words,
        outputs=outputs,
        codes=codes,
        anew=True,
        records=words[0] == "live" or "standard output" in name,  # complete before its line cannot be printed
        heard="standard error" not in name,
        environment=environment,
        before=before,
    )


def _closed(number: int) -> Callable[[], None]:
    return lambda: os.close(number)


def _to(number: int, device: str) -> Callable[[], None]:
    def change() -> None:
        handle = os.open(device, os.O_WRONLY)
        os.dup2(handle, number)
        os.close(handle)

    return change


def _limited(what: int, most: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(what, (most, most))

    return limit


_SURROUNDINGS: tuple[tuple[str, Callable[[], None], frozenset[int]], ...] = (
    ("nothing else", lambda: None, frozenset({DONE})),
    ("standard error is closed", _closed(2), frozenset({DONE})),
    ("standard output is closed", _closed(1), EITHER),
    ("standard input is closed", _closed(0), frozenset({DONE})),
    ("standard error is full", _to(2, "/dev/full"), EITHER),
    ("standard output is full", _to(1, "/dev/full"), EITHER),
    ("a disk without room", _limited(resource.RLIMIT_FSIZE, 0), frozenset({REFUSED})),
    ("a disk with room for a header", _limited(resource.RLIMIT_FSIZE, 700), frozenset({REFUSED})),
    ("a disk with room for half", _limited(resource.RLIMIT_FSIZE, 4000), EITHER),
    ("few open files", _limited(resource.RLIMIT_NOFILE, 24), EITHER),
)


def network(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A user's network that is another one, or none."""
    networks = sorted(seeds.bundle.rglob("*.onnx"))
    file = folder / rng.choice(("net.onnx", "net.pt", "net.bin"))
    kind = rng.choice(("another", "damaged", "text", "empty", "picture"))
    if kind in ("another", "damaged"):
        data = rng.choice(networks).read_bytes()
        file.write_bytes(data if kind == "another" else damaged(data, rng)[1])
    elif kind == "text":
        file.write_text("hello " * 100)
    elif kind == "picture":
        file.write_bytes(seeds.portrait.read_bytes())
    else:
        file.touch()
    option = rng.choice(("yunet", "yoloface", "arcface", "lpips", "fid-features", "fvd-features", "expression", "pose"))
    outputs: tuple[Path, ...] = ()
    if option in ("yunet", "yoloface"):
        words, outputs = animate(seeds, folder, locator=option, locator_file=file)
    elif option == "arcface":
        words, outputs = animate(seeds, folder, arcface=file)
    else:
        words = ("evaluate", "--protocol=self", "--seeds=0:1", "--frames=1", "--steps=1", f"--bundle={seeds.bundle}")
        words = (*words, f"--{option}={file}")
    return Case(family="networks", name=f"{option} is {kind}", words=words, outputs=outputs, codes=frozenset({REFUSED}))
