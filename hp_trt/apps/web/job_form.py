"""The form for a clip, or for a portrait that speaks, and what is shown of the job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from hp_trt.apps.service.job import Kind
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.enlarge_form import enlarge_below
from hp_trt.apps.web.job_shown import NOTHING, QUIET, Turns, job_places, remembered, updates
from hp_trt.apps.web.making import Asked, Making, Shown, labels
from hp_trt.apps.web.said import file_field, problem_text
from hp_trt.hallo2.promises import knows_moods
from runtime.hallo2.presets import MOODS

_FIELD = "hpTrt.field(element, props)"
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
            name, turns = f"{kind}-enlarge", Turns()
            job, larger_job = remembered(kind), remembered(name)
            places = job_places(kind, job)
            below, shown = [], list(places)
            if service.enhancer is not None:
                with gr.Column(visible=False, elem_id=f"{kind}-larger") as larger:
                    below = enlarge_below(page, service.enhancer, making, name, clip=job, job=larger_job, turns=turns)
                shown.append(larger)
    shows = _with_larger if below else updates

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
        async for one in shows(making.make(str(request.username), wanted)):
            yield one

    async def go_on(identity: Any, request: gr.Request) -> AsyncIterator[list[Any]]:
        yield [gr.skip()] * len(shown)  # of a generator that gives nothing Gradio empties what it would have filled
        async for one in shows(making.watch(str(request.username), identity)):
            yield one

    async def cancel(identity: Any, request: gr.Request) -> Any:
        told = await making.cancel(str(request.username), identity)
        return problem_text(told) if told else gr.skip()

    def forget(request: gr.Request) -> list[str]:
        """What was enlarged was another clip; where it still is, it goes on unseen."""
        turns.begin(str(request.session_hash))
        return [NOTHING, "", "", ""]

    if below:
        begin.click(forget, None, below, **QUIET)
    begin.click(make, asked, shown, **QUIET)
    stop.click(cancel, [job], [places[0]], **QUIET)
    page.load(go_on, [job], shown, **QUIET)


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


async def _with_larger(told: AsyncIterator[Shown]) -> AsyncIterator[list[Any]]:
    """The updates of a clip, and of what is below it: a clip that is done may be enlarged."""
    last = Shown()

    async def noted() -> AsyncIterator[Shown]:
        nonlocal last
        async for one in told:
            last = one
            yield one

    async for update in updates(noted()):
        yield [*update, gr.skip() if last.problem else gr.Column(visible=last.view.state == "done")]
