"""A plan for people: a row a stage, and the lines that a number needs beside it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from hp_trt.interface.tables import print_table
from hp_trt.measure.planning.enhanced import EnhancePlan
from hp_trt.measure.planning.enhanced import lines as enhanced_lines
from hp_trt.measure.planning.plan import RATE, Plan
from hp_trt.measure.planning.planned_model import clips_of
from hp_trt.measure.planning.predict import Prediction


def show(plan: Plan | EnhancePlan, console: Console | None = None) -> None:
    """Print the table and its lines."""
    console = console or Console(highlight=False)
    if isinstance(plan, EnhancePlan):
        return _show_enhanced(plan, console)
    rows = []
    prediction = plan.prediction
    known_s = sum(stage.seconds or 0.0 for stage in prediction.stages)
    spoken = plan.model.room.driver == "audio"
    pieces = clips_of(prediction.work) if spoken else prediction.work.windows
    for stage in prediction.stages:
        seconds = stage.seconds
        row = (
            stage.stage,
            f"{stage.flops / 1e12:.4g}" if stage.flops else "",
            f"{stage.bytes / 1e9:.4g}" if stage.bytes else "",
            "" if seconds is None else f"{seconds:.3g}",
            "" if seconds is None else f"{seconds / pieces:.3g}",
            "" if seconds is None else f"{seconds / known_s:.1%}",
            stage.bound,
        )
        rows.append(row)
    headings = ("stage", "TFLOP", "GB moved", "s", "s a clip" if spoken else "s a window", "share", "bound by")
    print_table(console, headings, rows, left=("bound by",))
    for line in lines(plan):
        console.print(line, markup=False, soft_wrap=True)


def _show_enhanced(plan: EnhancePlan, console: Console) -> None:
    """A row a choice."""
    on_card = any(row.card_bytes is not None for row in plan.rows)
    headings = ["choice", "result", "TFLOP", "GB moved", "s", "frames/s", "times exact", "memory"]
    roles = list(dict.fromkeys(role for row in plan.rows for role in row.seconds_by_graph))
    headings += [*(["on the card"] if on_card else []), *(f"{role} s" for role in roles), "bound by"]
    first, rows = plan.rows[0], []
    for row in plan.rows:
        seconds = row.seconds_by_graph
        cells = [row.profile, f"{row.result[0]} x {row.result[1]}", f"{row.flops / 1e12:.3g}"]
        cells += [f"{row.moved_bytes / 1e9:.3g}", f"{sum(seconds.values()):.3g}", f"{row.frames_per_s:.3g}"]
        cells += [f"{row.frames_per_s / first.frames_per_s:.2f}", _size(row.memory_bytes)]
        cells += [] if row.card_bytes is None else [_size(row.card_bytes)]
        cells += [*(f"{seconds[role]:.3g}" if role in seconds else "-" for role in roles), row.bound]
        rows.append(cells)
    print_table(console, headings, rows, left=("bound by",))
    for line in enhanced_lines(plan):
        console.print(line, markup=False, soft_wrap=True)


def lines(plan: Plan) -> Iterator[str]:
    """What the table does not hold, a fact a line."""
    prediction, model, choice = plan.prediction, plan.model, plan.choice
    work, memory = prediction.work, prediction.memory
    spoken = model.room.driver == "audio"
    yield ""
    yield (
        f"plan         {choice.profile} on {plan.device}: {model.preset}, {model.precision}, {choice.size} x "
        f"{choice.size} px, {_counted(work.frames, 'frame')}" + (f", {work.frames / RATE:g} s of sound" * spoken)
    )
    if spoken:
        halves = "both halves of guidance" if work.rows > work.steps else "one half of guidance alone"
        yield (
            f"clips        {clips_of(work)} of {_counted(work.window, 'frame')}, {work.window / RATE:.3g} s each, "
            f"{_counted(work.steps, 'step')}, {halves}"
        )
    else:
        yield (
            f"windows      {work.windows} of {work.window} frames, {_counted(work.steps, 'step')}, "
            f"{_counted(work.row_forwards, 'row')} of the denoiser in all"
        )
    of_all = f"{prediction.flops / 1e12:.4g} TFLOP"
    yield f"arithmetic   {of_all}, {prediction.flops / work.frames / 1e12:.3g} a frame"
    if spoken:
        yield from _spoken(prediction)
    elif work.mode == "clip":
        yield (
            f"speed        {prediction.frames_per_s:.3g} frames/s: the clip in {prediction.total_s:.3g} s, stages one "
            f"after the other; {prediction.window_s:.3g} s a window"
        )
        yield f"latency      {prediction.latency_s:.3g} s from the call to the first frame"
    else:
        yield (
            f"speed        {prediction.frames_per_s:.3g} frames/s: {_counted(work.new_frames, 'frame')} every "
            f"{prediction.window_s:.3g} s, stages overlap"
        )
        yield f"latency      {prediction.latency_s:.3g} s, glass to glass: waiting for the window, then making it"
    if (spread := prediction.spread) is not None:
        yield (
            f"devices      {spread.devices}: {_counted(spread.pieces['denoise'], 'window')} of a step are "
            f"{spread.speedup('denoise'):.3g} times as fast, {_counted(spread.pieces['decode'], 'chunk')} of the "
            f"decoder {spread.speedup('decode'):.3g} times; between them at least {_size(spread.between_bytes)}, in no "
            "time here"
        )
    kept = "banks, tokens and latents" if spoken else "tokens and latents"
    parts = [(memory.weights, "weights"), (memory.activations, "activations"), (memory.clip, kept)]
    parts += [(memory.context, "for CUDA itself")] if memory.context else []
    yield f"memory       about {_size(memory.total)}: " + ", ".join(f"{_size(size)} {what}" for size, what in parts)
    for found in plan.answers:
        yield from found.lines(choice)
    for note in plan.notes:
        yield f"note         {note}"


def _spoken(prediction: Prediction) -> Iterator[str]:
    """Speed and latency of a portrait that speaks: real time is as many frames a second as the video shows."""
    work, ratio = prediction.work, prediction.frames_per_s / RATE
    how = "stages one after the other" if work.mode == "clip" else "stages overlap"
    yield (
        f"speed        {prediction.clips_per_s:.3g} clips/s, {prediction.frames_per_s:.3g} frames/s, {ratio:.3g} of "
        f"real time ({RATE:g} frames/s); {how}"
    )
    if work.mode == "clip":
        yield f"latency      {prediction.latency_s:.3g} s from the call to the first frame"
    else:
        yield f"latency      {prediction.latency_s:.3g} s, sound to glass: hearing the clip, then making it"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
