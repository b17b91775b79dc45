"""Folders of portraits and drivers, of few frames."""

from __future__ import annotations

from pathlib import Path

import av

SHORT = ("--steps=1", "--threads=1", "--no-credentials", "--mark-id=0a1b2c3d")


def make_folders(folder: Path, sample: tuple[Path, Path]) -> Path:
    """`folder`/p with pa.png and pb.png, `folder`/d with da.mp4 and db.mp4: the sample's, each with its own hash."""
    for name, source in (("p", sample[0]), ("d", sample[1])):
        (folder / name).mkdir(parents=True)
        for number, letter in enumerate("ab"):
            (folder / name / f"{name}{letter}{source.suffix}").write_bytes(source.read_bytes() + b"\0" * number)
    return folder


def frames(path: Path) -> int:
    """As many as another reader finds."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def whole(*clips: str) -> set[str]:
    """What a folder of these clips holds when a batch is over."""
    return {name for clip in (*clips, "report.png") for name in (clip, f"{clip}.json")} | {"report.json", "report.md"}
