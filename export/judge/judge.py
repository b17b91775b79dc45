"""`python -m export.judge.judge`: train the judge, write hp_trt/shipped/judge/judge.onnx and its card.

A quarter of an hour on one core. The same seed and machine give the same file. Nothing is written before the end.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from engines.cores import MOST_THREADS
from engines.safe_output import check_outputs, safe_output
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.judge.judge_network import JudgeNetwork
from export.judge.judge_pictures import Faces, batches, drawn_faces, spoiled
from export.judge.small_file import weight_count, write_small_onnx
from hp_trt.commands import options
from hp_trt.console import Reporter, run
from hp_trt.measure.metrics.judge import JUDGE_PX, Judge
from hp_trt.shipped import JUDGE
from procedural.clip import FIRST_TRAINING_SEED
from procedural.landmarks import POINTS
from procedural.motion import NAMES

BATCH = 32
HELD_OUT_SEED, HELD_OUT = 500_000, 500  # below FIRST_TRAINING_SEED: nothing is ever trained on them
_CARD = Path(__file__).with_name("judge_card.md")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    out: Annotated[Path, typer.Option(help="The network; its card goes beside it.")] = JUDGE,
    faces: Annotated[int, typer.Option(min=BATCH, max=10_000_000, help="Drawn faces to learn from.")] = 12_000,
    steps: Annotated[int, typer.Option(min=1, max=10_000_000, help="Of 32 faces each.")] = 2_400,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the parameters at the start and of everything random later.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads.")] = 1,
    debug: options.Debug = False,
) -> None:
    """Train the network that reads landmarks and parameters from drawn faces."""
    beside = out.with_suffix(".md")
    check_outputs({"the network": out}, {}, suffixes=(".onnx",))
    check_outputs({"its card": beside, "the network": out}, {})
    import cv2

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    with Reporter() as report:
        network = trained(drawn_faces(FIRST_TRAINING_SEED, faces), steps, np.random.default_rng(seed), report)
        with safe_output(out) as hidden, safe_output(beside) as hidden_card:
            write_onnx(network, hidden)
            text, summary = card(hidden, steps=steps, faces=faces, seed=seed)
            hidden_card.write_text(text, encoding="utf-8")
        report.result(f"{out}: {out.stat().st_size} bytes; {summary}")


def trained(faces: Faces, steps: int, rng: np.random.Generator, report: Reporter) -> JudgeNetwork:
    """A network after `steps` batches of `faces`, ready to be exported."""
    parameters = torch.from_numpy(faces.parameters)
    spreads = parameters.std(dim=0)
    network = JudgeNetwork(parameters.mean(dim=0), spreads)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.1)
    for step, batch in zip(range(steps), batches(faces, BATCH, rng), strict=False):
        pictures, points, wanted = (torch.from_numpy(array) for array in batch)
        found, read = network(pictures)
        loss = (found - points).abs().mean() + 2 * ((read - wanted) / spreads).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99 or step == steps - 1:
            report.advance("judge", step + 1, steps, label=f"judge: loss {loss.item():.3f}")
    return network.eval()


def write_onnx(network: JudgeNetwork, path: Path) -> None:
    """One file, its weights inside it in half precision; it computes in single precision."""
    spec = NetworkSpec(
        name="judge",
        inputs=(TensorSpec(name="pictures", dims=("n", 3, JUDGE_PX, JUDGE_PX), dtype="float32"),),
        outputs=(
            TensorSpec(name="landmarks", dims=("n", len(POINTS), 2), dtype="float32"),
            TensorSpec(name="parameters", dims=("n", len(NAMES)), dtype="float32"),
        ),
        ranges={"n": DimRange(min=1, opt=16, max=64)},
    )
    feeds = {"pictures": torch.zeros(2, 3, JUDGE_PX, JUDGE_PX)}
    write_small_onnx(network, spec, feeds, path, points=POINTS, parameters=NAMES)


def card(file: Path, *, held_out: int = HELD_OUT, **trained_with: int) -> tuple[str, str]:
    """The model card of `file`, and its summary in one line: how well it reads `held_out` faces nobody learns from.

    `trained_with`: the card's "steps", "faces" and "seed".
    """
    unseen = drawn_faces(HELD_OUT_SEED, held_out)
    rng = np.random.default_rng(0)
    judge = Judge(file, threads=1)
    kinds = {"clean": unseen.pictures, "spoiled": np.stack([spoiled(p, rng) for p in unseen.pictures])}
    readings = {kind: judge.read(list(pictures)) for kind, pictures in kinds.items()}
    errors = {k: np.linalg.norm(r.landmarks - unseen.points, axis=2) for k, r in readings.items()}
    fits = {k: correlations(r.parameters, unseen.parameters) for k, r in readings.items()}
    points = "\n".join(
        f"| {name} | {errors['clean'][:, i].mean():.2f} | {errors['spoiled'][:, i].mean():.2f} |"
        for i, name in enumerate(POINTS)
    )
    parameters = "\n".join(
        f"| {name} | {fits['clean'][i]:.3f} | {fits['spoiled'][i]:.3f} |" for i, name in enumerate(NAMES)
    )
    summary = (
        f"On {held_out} held-out faces: {errors['clean'].mean():.2f} px mean landmark error at {JUDGE_PX} px "
        f"({errors['spoiled'].mean():.2f} spoiled),\nmean parameter correlation {fits['clean'].mean():.3f} "
        f"({fits['spoiled'].mean():.3f} spoiled)."
    )
    text = _CARD.read_text(encoding="utf-8").format(
        summary=summary,
        points=points,
        parameters=parameters,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        bytes=file.stat().st_size,
        held_out=f"{HELD_OUT_SEED}:{HELD_OUT_SEED + held_out}",
        batch=BATCH,
        px=JUDGE_PX,
        point_count=len(POINTS),
        parameter_count=len(NAMES),
        weight_count=weight_count(file),
        first_seed=FIRST_TRAINING_SEED,
        **trained_with,
    )
    return text, summary.replace("\n", " ")


def correlations(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n, P), (n, P) -> (P,): of each parameter by itself."""
    return np.array([np.corrcoef(found[:, i], true[:, i])[0, 1] for i in range(true.shape[1])])


if __name__ == "__main__":
    run(app, json_events=False)
