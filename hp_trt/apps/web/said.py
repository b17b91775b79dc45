"""What the page says, as HTML. Whatever comes from a file, a service or a user is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hp_trt.apps.web.following import View

STAGES = {
    "read": "reading",
    "motion": "seeing the motion",
    "speech": "hearing the speech",
    "denoise": "drawing",
    "decode": "making pictures",
    "restore": "restoring the face",
    "upscale": "enlarging",
    "write": "writing frames",
}
_STATES = {
    "queued": "It waits for its turn.",
    "running": "It is being made.",
    "done": "It is done.",
    "failed": "It failed.",
    "cancelled": "It was called off. Nothing is left of it.",
    "expired": "It was kept for its time and is gone.",
}


def state_text(view: View) -> str:
    """A line for a region that screen readers read out, so it changes with the state and not with each frame."""
    if view.problem:
        return problem_text(view.problem)
    if view.state == "done" and view.result:
        made = view.result
        return f"<p>It is done: {made['frames']} frames in {made['seconds']:.1f} s.</p>"
    return f"<p>{_STATES[view.state]}</p>"


def problem_text(problem: str) -> str:
    """An error: what was found, needed, and to do."""
    return f'<p class="hp-wrong"><strong>That did not work:</strong> {escape(problem)}</p>'


def progress_text(view: View) -> str:
    """A bar for each stage that has begun; nothing once the job has ended."""
    if view.state != "running":
        return ""
    rows = "".join(_bar(stage, *view.stages[stage]) for stage in STAGES if stage in view.stages)
    left = "" if view.eta_s is None else f"<p>About {max(1, round(view.eta_s))} s left.</p>"
    return f'<div class="hp-progress">{rows}</div>{left}'


def _bar(stage: str, done: int, total: int | None) -> str:
    said = f"{done} of {total}" if total else f"{done}"
    value = f' max="{total}" value="{min(done, total)}"' if total else ""
    return f'<label>{STAGES[stage]}<progress{value}></progress><span class="hp-count">{said}</span></label>'


def result_text(view: View, job: str, *, sheet: bool, sidecar: str) -> str:
    """The video, its download, notes, the contact sheet and what the sidecar says."""
    if view.state != "done" or not view.result:
        return ""
    name, made = escape(job), view.result
    at = f"/page/jobs/{name}"
    size = f"{made['bytes'] / 1e6:.1f} MB, {made['frames_per_s']:g} frames/s"
    parts = [
        f'<video class="hp-video" controls loop playsinline preload="auto" src="{at}/result" '
        'aria-label="The clip that was made"></video>',
        f'<p><a class="hp-download" href="{at}/result" download="{name}.mp4">Download the video</a> ({size})</p>',
        _notes(made["notes"]),
    ]
    if sheet:
        parts.append(
            f'<figure><img class="hp-sheet" src="{at}/sheet" alt="Contact sheet: the portrait, and frames of the clip '
            'in their order"><figcaption>Contact sheet</figcaption></figure>'
        )
    if sidecar:
        parts.append(
            f"<details><summary>What the sidecar says</summary><pre tabindex=0>{escape(sidecar)}</pre></details>"
        )
    return "".join(parts)


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="hp-notes" aria-label="Notes">{items}</ul>' if items else ""


def terms_text(notes: Iterable[str]) -> str:
    """What is to be known of an enhancer: terms of its weights among it."""
    return f'<div class="hp-licence">{_notes(notes)}</div>'


def licence_text(licence: str, notes: Iterable[str]) -> str:
    """On which terms a result may be used, and what is to be known of the bundle."""
    return f'<p class="hp-licence">Licence of the weights: {escape(licence)}.</p>{_notes(notes)}'


def file_field(name: str, label: str, to: str, accept: str, *, record: str = "", hint: str = "") -> str:
    """A field that uploads to the service's own gate (static/page.js). `record`: "audio" or "video", with a button."""
    asked = "the microphone" if record == "audio" else "the camera"
    button = f'<button type="button" class="hp-record" data-record="{record}">Record with {asked}</button>'
    return (
        f'<div class="hp-file" data-to="{to}"><label for="{name}-file">{escape(label)}</label>'
        f'<input id="{name}-file" type="file" accept="{accept}" aria-describedby="{name}-said">'
        f'{button if record else ""}<progress max="1" value="0" hidden aria-label="Upload"></progress>'
        f'<p id="{name}-said" class="hp-said" role="status">{escape(hint)}</p><div class="hp-shown"></div></div>'
    )
