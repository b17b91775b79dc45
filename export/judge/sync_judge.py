"""`python -m export.judge.sync_judge`: train the sync judge, write its two networks and its card.

Ten minutes on one core, half of them drawing. The same seed and machine give the same files. Nothing is written before
the end.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from engines.cores import MOST_THREADS
from engines.safe_output import check_outputs, safe_output
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.judge.small_file import weight_count, write_small_onnx
from export.judge.sync_clips import MARGIN, SpokenClips, batches, spoken_clips
from export.judge.sync_network import VECTOR, SyncNetworks, contrast
from hp_trt.commands import options
from hp_trt.console import Reporter, run
from hp_trt.measure.metrics.mouth import MOST_LAG
from hp_trt.measure.metrics.sound_features import BANDS
from hp_trt.measure.metrics.sync import WINDOW, Sync, sync_of
from hp_trt.measure.metrics.sync_judge import MOUTH_PX, ROWS, SyncJudge
from hp_trt.shipped import SYNC_PICTURES, SYNC_SOUND
from procedural.clip import FIRST_TRAINING_SEED

CLIPS, WINDOWS = 8, 50  # of a batch; windows of each in a row
FRAMES, HELD_OUT_FRAMES = 75, 100
HELD_OUT_SEED, HELD_OUT = 500_000, 28  # below FIRST_TRAINING_SEED: nothing is ever trained on them
SECOND = 21  # windows of one second
_CARD = Path(__file__).with_name("sync_card.md")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    pictures: Annotated[Path, typer.Option(help="The half for pictures; the card goes beside it.")] = SYNC_PICTURES,
    sound: Annotated[Path, typer.Option(help="The half for sound.")] = SYNC_SOUND,
    clips: Annotated[int, typer.Option(min=CLIPS, max=1_000_000, help="Drawn clips of 3 s to learn from.")] = 240,
    steps: Annotated[int, typer.Option(min=1, max=10_000_000, help="Of 8 clips each.")] = 320,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the parameters at the start and of everything random later.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads.")] = 1,
    debug: options.Debug = False,
) -> None:
    """Train the networks that say whether a drawn mouth and a sound go together."""
    beside = pictures.with_name("sync_judge.md")
    check_outputs({"the half for pictures": pictures, "the half for sound": sound}, {}, suffixes=(".onnx",))
    check_outputs({"the card": beside, "the half for pictures": pictures, "the half for sound": sound}, {})
    import cv2

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    with Reporter() as report:
        spoken = spoken_clips(
            FIRST_TRAINING_SEED, clips, FRAMES, lambda done: report.advance("clips", done, clips, label="drawing")
        )
        networks = trained(spoken, steps, np.random.default_rng(seed), report)
        with safe_output(pictures) as hidden, safe_output(sound) as hidden_sound, safe_output(beside) as hidden_card:
            write_onnx(networks, hidden, hidden_sound)
            held_out = spoken_clips(HELD_OUT_SEED, HELD_OUT, HELD_OUT_FRAMES)
            text, summary = card(hidden, hidden_sound, held_out, steps=steps, clips=clips, seed=seed)
            hidden_card.write_text(text, encoding="utf-8")
        report.result(f"{pictures} and {sound}: {summary}")


def trained(spoken: SpokenClips, steps: int, rng: np.random.Generator, report: Reporter) -> SyncNetworks:
    """Networks after `steps` batches of clips, ready to be exported."""
    networks = SyncNetworks()
    optimizer = torch.optim.AdamW(networks.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    for step, batch in zip(range(steps), batches(spoken, CLIPS, WINDOWS, rng), strict=False):
        seen, heard = (torch.from_numpy(array) for array in batch)
        pictures, sounds = networks.pictures(seen), networks.sound(heard)
        rows = CLIPS, WINDOWS
        loss = contrast(pictures.unflatten(0, rows), sounds.unflatten(0, rows), networks.sharpness)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 19 or step == steps - 1:
            report.advance("sync judge", step + 1, steps, label=f"sync judge: loss {loss.item():.3f}")
    return networks.eval()


def write_onnx(networks: SyncNetworks, pictures: Path, sound: Path) -> None:
    """Two files, each with its weights inside; `networks` are changed by it."""
    sizes = (
        ("pictures", networks.pictures, pictures, (WINDOW * 3, *MOUTH_PX)),
        ("sound", networks.sound, sound, (ROWS, BANDS)),
    )
    for name, network, path, size in sizes:
        spec = NetworkSpec(
            name=f"sync_{name}",
            inputs=(TensorSpec(name=name, dims=("n", *size), dtype="float32"),),
            outputs=(TensorSpec(name="vectors", dims=("n", VECTOR), dtype="float32"),),
            ranges={"n": DimRange(min=1, opt=64, max=64)},
        )
        write_small_onnx(network, spec, {name: torch.zeros(2, *size)}, path)


@dataclass(frozen=True, kw_only=True)
class Told:
    """How well true pairs are told from shifted ones, in some clips."""

    window_auc: float  # of 0.2 s; shifts of one to 15 frames, either way
    far_auc: float  # the same for shifts of at least 3 frames
    second_auc: float  # of one second, all shifts
    in_time: float  # share of clips whose best lag is 0
    syncs: tuple[Sync, ...]  # of every clip

    def mean(self, name: str) -> float:
        return float(np.mean([getattr(sync, name) for sync in self.syncs]))


def told(judge: SyncJudge, clips: SpokenClips) -> Told:
    """Of held-out `clips`, each in the middle of what is kept of it."""
    seen = clips.mouths[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    pairs = [(judge.of_pictures(s), judge.of_sound(h)) for s, h in zip(seen, clips.heard, strict=True)]
    true = [distances(*pair, 0) for pair in pairs]
    shifted = {lag: [distances(*pair, lag) for pair in pairs] for lag in range(-MOST_LAG, MOST_LAG + 1) if lag}
    windows = np.concatenate([row for rows in shifted.values() for row in rows])
    far = np.concatenate([row for lag, rows in shifted.items() for row in rows if abs(lag) >= 3])
    seconds = np.concatenate([in_seconds(row) for rows in shifted.values() for row in rows])
    syncs = tuple(sync_of(*pair) for pair in pairs)
    return Told(
        window_auc=auc(np.concatenate(true), windows),
        far_auc=auc(np.concatenate(true), far),
        second_auc=auc(np.concatenate([in_seconds(row) for row in true]), seconds),
        in_time=float(np.mean([sync.lag == 0 for sync in syncs])),
        syncs=syncs,
    )


def distances(pictures: np.ndarray, sounds: np.ndarray, lag: int) -> np.ndarray:
    """Of each picture window from the sound of `lag` windows before it, where there is one."""
    count = len(pictures)
    late, early = pictures[max(lag, 0) : count + min(lag, 0)], sounds[max(-lag, 0) : count - max(lag, 0)]
    return np.linalg.norm(late - early, axis=1)


def in_seconds(row: np.ndarray) -> np.ndarray:
    """The mean of every whole second of windows."""
    whole = len(row) // SECOND * SECOND
    return row[:whole].reshape(-1, SECOND).mean(axis=1)


def auc(near: np.ndarray, far: np.ndarray) -> float:
    """How often a number of `near` is below one of `far`; of equals half count. 0.5 is chance."""
    order = np.sort(far)
    below, up_to = np.searchsorted(order, near, "left"), np.searchsorted(order, near, "right")
    return float(1 - (below + up_to).mean() / 2 / len(far))


def card(pictures: Path, sound: Path, held_out: SpokenClips, **trained_with: int) -> tuple[str, str]:
    """The model card of the two files, and its summary in one line, as measured on `held_out`: half of it spoiled.

    `trained_with`: the card's "steps", "clips" and "seed".
    """
    judge = SyncJudge(pictures, sound, threads=1)
    kinds = {
        kind: told(judge, SpokenClips(mouths=held_out.mouths[first::2], heard=held_out.heard[first::2]))
        for first, kind in enumerate(("clean", "spoiled"))
    }
    clean, spoiled = kinds["clean"], kinds["spoiled"]
    rows = "\n".join(
        f"| {title} | {get(clean):.3f} | {get(spoiled):.3f} |"
        for title, get in (
            ("AUC of seconds, shifted by 1 to 15 frames", lambda t: t.second_auc),
            ("AUC of windows of 0.2 s, shifted by 3 to 15 frames", lambda t: t.far_auc),
            ("AUC of windows of 0.2 s, shifted by 1 to 15 frames", lambda t: t.window_auc),
            ("clips of 4 s whose best lag is 0", lambda t: t.in_time),
            ("Sync-C of these clips", lambda t: t.mean("confidence")),
            ("Sync-D of these clips", lambda t: t.mean("distance")),
        )
    )
    summary = (
        f"On {len(held_out.mouths)} held-out clips it tells a second of sound from a shifted one with an AUC of "
        f"{clean.second_auc:.3f}\n({spoiled.second_auc:.3f} where pictures are spoiled), 0.2 s with "
        f"{clean.window_auc:.3f} ({spoiled.window_auc:.3f})."
    )
    text = _CARD.read_text(encoding="utf-8").format(
        summary=summary,
        rows=rows,
        height=MOUTH_PX[0],
        width=MOUTH_PX[1],
        bands=BANDS,
        vector=VECTOR,
        first_seed=FIRST_TRAINING_SEED,
        held_out=f"{HELD_OUT_SEED}:{HELD_OUT_SEED + len(held_out.mouths)}",
        batch=CLIPS,
        weights=weight_count(pictures) + weight_count(sound),
        bytes=pictures.stat().st_size + sound.stat().st_size,
        pictures_sha256=hashlib.sha256(pictures.read_bytes()).hexdigest(),
        sound_sha256=hashlib.sha256(sound.read_bytes()).hexdigest(),
        **trained_with,
    )
    return text, summary.replace("\n", " ")


if __name__ == "__main__":
    run(app, json_events=False)
