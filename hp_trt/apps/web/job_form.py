"""The form for a clip, or for a portrait that speaks, and what is shown of the job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from hp_trt.apps.service.job import Kind
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.making import Asked, Making, Shown, labels
from hp_trt.apps.web.said import file_field, problem_text, progress_text, result_text, state_text
from hp_trt.hallo2.promises import knows_moods
from runtime.hallo2.presets import MOODS

_FIELD = "hpTrt.field(element, props)"
_STATUS = "hpTrt.status(element)"
_BUTTONS = {"clip": "Make the clip", "talk": "Make it speak"}


def job_form(page: gr.Blocks, service: Service, making: Making, kind: Kind, licence: str) -> None:
    """Inside a tab of `page`: fields at the left or above, the job at the right or below."""
    with gr.Row():
        with gr.Column(min_width=300):
            asked = _fields(service, kind)
            gr.HTML(licence, js_on_load=None)
            with gr.Row(elem_classes="hp-buttons"):
                begin = gr.Button(_BUTTONS[kind], variant="primary", elem_id=f"{kind}-make")
                stop = gr.Button("Cancel", elem_id=f"{kind}-cancel")
        with gr.Column(min_width=300):
            state = gr.HTML("<p>Nothing is being made.</p>", js_on_load=_STATUS, elem_id=f"{kind}-state")
            progress = gr.HTML("", js_on_load=None, elem_id=f"{kind}-progress")
            result = gr.HTML("", js_on_load=None, elem_id=f"{kind}-result")
    job = gr.BrowserState("", storage_key=f"hp-trt-{kind}", secret="hp-trt")
    shown = [state, progress, result, job]

    async def make(
        portrait: Any, motion: Any, profile: Any, seed: Any, crop: Any, mood: Any, label: Any, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        wanted = Asked(
            kind=kind,
            portrait=portrait,
            motion=motion,
            profile=profile,
            seed=seed,
            crop=crop,
            mood=mood,
            label=label,
        )
        async for one in _updates(making.make(str(request.username), wanted)):
            yield one

    async def go_on(identity: Any, request: gr.Request) -> AsyncIterator[list[Any]]:
        yield [gr.skip()] * len(shown)  # of a generator that gives nothing Gradio empties what it would have filled
        async for one in _updates(making.watch(str(request.username), identity)):
            yield one

    async def cancel(identity: Any, request: gr.Request) -> Any:
        told = await making.cancel(str(request.username), identity)
        return problem_text(told) if told else gr.skip()

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    begin.click(make, asked, shown, **quiet)
    stop.click(cancel, [job], [state], **quiet)
    page.load(go_on, [job], shown, **quiet)


def _fields(service: Service, kind: Kind) -> list[Any]:
    """The form's fields, in the order in which `make` takes them."""
    sound, profiles = kind == "talk", list(service.config.profiles)
    moods = MOODS if sound and knows_moods(service.manifest) else ()
    hint = "A picture with one face that looks at the camera."
    portrait = file_field(f"{kind}-portrait", "Portrait", "/page/uploads/portrait", "image/*", hint=hint)
    hint = "Speech of one voice." if sound else "A video of one face; the portrait moves as it does."
    motion = file_field(
        f"{kind}-motion",
        "Sound" if sound else "Driving video",
        "/page/uploads/motion",
        "audio/*,video/*" if sound else "video/*",
        record="audio" if sound else "video",
        hint=hint,
    )
    files = []
    with gr.Row():
        for template, name in ((portrait, f"{kind}-portrait"), (motion, f"{kind}-motion")):
            with gr.Column(min_width=200):
                files.append(_field(template, name))
    return [
        *files,
        gr.Dropdown(profiles, value=profiles[0], label="Profile", elem_id=f"{kind}-profile", filterable=False),
        gr.Textbox("", label="Seed", placeholder="the bundle's own", max_lines=1, elem_id=f"{kind}-seed"),
        gr.Checkbox(False, label="The square around the face alone", elem_id=f"{kind}-crop"),
        gr.Dropdown(
            [("none", ""), *((mood, mood) for mood in moods)],
            value="",
            label="Mood",
            visible=bool(moods),
            filterable=False,
            elem_id=f"{kind}-mood",
        ),
        gr.Checkbox(
            True,
            label="A visible sign in the corner: made by a machine",
            visible=labels(),
            elem_id=f"{kind}-label",
        ),
    ]


def _field(template: str, name: str) -> gr.HTML:
    """A field whose value is the id of what was uploaded."""
    return gr.HTML("", html_template=template, js_on_load=_FIELD, elem_id=name)


async def _updates(told: AsyncIterator[Shown]) -> AsyncIterator[list[Any]]:
    """What changes on the screen. A line that is read out changes only where it says something else."""
    said = made = None
    async for one in told:
        if one.problem:
            yield [problem_text(one.problem), "", gr.skip(), gr.skip()]
            continue
        state, result = state_text(one.view), result_text(one.view, one.job, sheet=one.sheet, sidecar=one.sidecar)
        yield [
            gr.skip() if state == said else state,
            progress_text(one.view),
            gr.skip() if result == made else result,
            one.job,
        ]
        said, made = state, result
