"""Documents whose values are hostile: manifests, landmarks, profiles; and the files of a bundle."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

from engines.manifest import own_hash, to_text
from tests.attack.case import REFUSED, Case
from tests.attack.hostile import VALUES, as_json, changed, damaged
from tests.attack.media_cases import animate, live, talk
from tests.attack.seeds import Seeds, manifest_of


def manifest(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A manifest with hostile values, whose own hash is right, so that all of it is read."""
    make, source = rng.choice(((animate, seeds.bundle), (live, seeds.live_bundle), (talk, seeds.talk_bundle)))
    bundle = Path(shutil.copytree(source, folder / "bundle", copy_function=os.link))
    how, document = changed(manifest_of(source), rng, times=rng.choice((1, 1, 1, 2, 5)))
    if rng.random() < 0.9 and isinstance(document, dict):
        with suppress(ValueError, RecursionError, OverflowError):  # what is no JSON has no hash
            document["sha256"] = own_hash(json.loads(as_json(document)))
    _replace(bundle / "manifest.json", document)
    graphs = document.get("graphs") if isinstance(document, dict) else None
    for name, graph in graphs.items() if isinstance(graphs, dict) else ():  # as whoever wrote it has written these
        for record in bundle.glob(f"onnx/{name}-*/record.json"):
            _replace(record, graph)
    words, outputs = make(seeds, folder, bundle=bundle)
    door = rng.choice(("inspect", "inspect", "run", "plan", "doctor"))
    if door == "inspect":
        words, outputs = ("inspect", str(bundle), *rng.choice(((), ("--json",)))), ()
    elif door == "plan":
        words, outputs = ("plan", "--gpu=H200", f"--bundle={bundle}"), ()
    return Case(family="manifests", name=f"{words[0]}: {how}", words=words, outputs=outputs)


def _replace(file: Path, document: object) -> None:
    """As the program writes it, where it can be written so."""
    file.unlink()  # it is a link to the good one
    text = as_json(document)
    with suppress(ValueError, RecursionError):
        text = to_text(json.loads(text))
    file.write_text(text, encoding="utf-8", errors="surrogatepass")


def bundle_files(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A bundle in which a file is damaged, gone, foreign or a link."""
    make, source = rng.choice(((animate, seeds.bundle), (talk, seeds.talk_bundle)))
    bundle = Path(shutil.copytree(source, folder / "bundle"))
    files = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != ".lock")
    file = rng.choice(files)
    kind = rng.choice(("damaged", "gone", "link", "folder", "pipe", "empty", "foreign", "link to a folder", "hidden"))
    if kind == "damaged":
        file.write_bytes(damaged(file.read_bytes(), rng)[1])
    elif kind == "foreign":
        (file.parent / "foreign.bin").write_bytes(b"x")
    elif kind == "hidden":
        (folder / "elsewhere").mkdir()
        (folder / "elsewhere" / "mine.txt").write_text("precious")
        (bundle / ".build").symlink_to(folder / "elsewhere")
    elif kind == "link to a folder":
        moved = folder / "moved"
        file.parent.rename(moved)
        file.parent.symlink_to(moved)
    else:
        data = file.read_bytes()
        file.unlink()
        if kind == "link":
            (folder / "moved").write_bytes(data)
            file.symlink_to(folder / "moved")
        elif kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "empty":
            file.touch()
    words, outputs = rng.choice((make(seeds, folder, bundle=bundle), (("inspect", str(bundle)), ())))
    return Case(family="bundle files", name=f"{words[0]}: {file.name} {kind}", words=words, outputs=outputs)


def landmarks(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A landmarks file with hostile values."""
    option, source = rng.choice(
        (("portrait_landmarks", seeds.portrait_landmarks), ("driving_landmarks", seeds.driving_landmarks))
    )
    document = json.loads(source.read_text())
    file, how = folder / "faces.json", ""
    if rng.random() < 0.15:
        how, data = damaged(source.read_bytes(), rng)
        file.write_bytes(data)
    elif rng.random() < 0.3:  # numbers that are numbers, and far outside of the picture
        face = rng.choice(document["frames"])[0]
        far = rng.choice((3e4, -3e4, 1e6, 1e300, 10**400, 1e-300, -1, 0))
        if rng.random() < 0.5:
            face["box"][rng.randrange(4)] = far
        else:
            face["landmarks"] = [[far, far]] * 5 if rng.random() < 0.5 else [[far, 1], *face["landmarks"][1:]]
        how = "far outside"
        file.write_text(as_json(document))
    else:
        how, document = changed(document, rng, times=rng.choice((1, 1, 3)))
        file.write_text(as_json(document), encoding="utf-8", errors="surrogatepass")
    makes = (animate, talk, live) if option == "portrait_landmarks" else (animate, live)
    words, outputs = rng.choice(makes)(seeds, folder, **{option: file})
    return Case(family="landmarks", name=f"{option}: {how}", words=words, outputs=outputs)


def profile(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A profile with hostile values."""
    file = folder / "own.toml"
    make, shipped = rng.choice(((animate, seeds.profile), (talk, seeds.talk_profile)))
    keys = sorted({line.split("=")[0].strip() for line in seeds.profile.splitlines() if "=" in line and line[0] != "#"})
    how = f"{rng.choice((*keys, 'schedule', 'seed', 'nothing'))} = {_toml(rng)}"
    kind = rng.random()
    if kind < 0.6:
        file.write_text(f'[p]\nbase = "exact"\n{how}\n', encoding="utf-8", errors="surrogatepass")
    elif kind < 0.7:
        how = "a circle of bases"
        file.write_text('[p]\nbase = "q"\n[q]\nbase = "p"\n')
    elif kind < 0.8:
        how = "nested without end"
        file.write_text(f"[p]\nschedule = {'[' * 5000}{']' * 5000}\n")
    else:
        how, data = damaged(shipped.encode(), rng)
        file.write_bytes(data)
    which = rng.choice((f"{file}", f"{file}:p", f"{file}:live", f"{file}:none"))
    words, outputs = make(seeds, folder, profile=which)
    return Case(family="profiles", name=how[:200], words=words, outputs=outputs)


def _toml(rng: random.Random) -> str:
    value = rng.choice((*VALUES, [1], "1979-05-27", [[1, 2], [3]], {"a": 1}))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return "9" * 401 if value > 10**300 else "-" + "9" * 401 if value < -(10**300) else str(value)
    if isinstance(value, dict):
        return "{a = {}}"
    if value is None:
        return "1979-05-27"
    return as_json(value)


def record(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """`doctor`, `plan` and `inspect` where there is no bundle at all."""
    target = rng.choice((folder, folder / "none", "/dev/null", "/proc/self", "\x1b[2J", "a" * 5000, ""))
    command = rng.choice((("inspect", str(target)), ("plan", "--gpu=here", f"--bundle={target}")))
    return Case(family="manifests", name=f"{command[0]} of what is none", words=command, codes=frozenset({REFUSED}))
