"""The form that enlarges a video: one that is uploaded, or the clip above it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from hp_trt.apps.service.enhance_lane import EnhancerBundle
from hp_trt.apps.web.job_shown import QUIET, Turns, job_places, remembered, updates
from hp_trt.apps.web.making import AskedLarger, Making
from hp_trt.apps.web.said import file_field, problem_text, terms_text
from hp_trt.enhancer.options import DEFAULT_FIDELITY
from hp_trt.enhancer.pipeline import SCALES


def enlarge_tab(page: gr.Blocks, enhancer: EnhancerBundle, making: Making) -> None:
    """Inside a tab of `page`: a video at the left or above, the job at the right or below."""
    name = "enlarge"
    with gr.Row():
        with gr.Column(min_width=300):
            hint = "A video of any size, from anywhere."
            field = file_field(f"{name}-video", "Video", "/page/uploads/video", "video/*", hint=hint)
            video = gr.HTML("", html_template=field, js_on_load="hpTrt.field(element, props)", elem_id=f"{name}-video")
            options = _options(enhancer, name, label=True)
            buttons = _buttons(enhancer, name)
        with gr.Column(min_width=300):
            places = job_places(name, remembered(name))
    _connect(page, making, [video, *options], places, *buttons, Turns())


def enlarge_below(
    page: gr.Blocks,
    enhancer: EnhancerBundle,
    making: Making,
    name: str,
    *,
    clip: Any,
    job: gr.BrowserState,
    turns: Turns,
) -> list[Any]:
    """Below a clip, whose job's id `clip` has; where the job of the enlargement is shown, whose id `job` has, as long
    as it is the turn of that clip."""
    gr.HTML("<h2>Enlarge the clip</h2>", js_on_load=None)
    options = _options(enhancer, name, label=False)
    buttons = _buttons(enhancer, name)
    places = job_places(name, job)
    _connect(page, making, [clip, *options], places, *buttons, turns)
    return places


def _options(enhancer: EnhancerBundle, name: str, *, label: bool) -> list[Any]:
    """The fields, in the order in which `make` takes them. `label`: of a clip the sign is enlarged with it."""
    faces = enhancer.restores
    return [
        gr.Dropdown(
            [(f"{scale} times as wide and high", scale) for scale in SCALES],
            value=SCALES[0],
            label="Size",
            filterable=False,
            elem_id=f"{name}-scale",
        ),
        gr.Slider(
            0,
            1,
            DEFAULT_FIDELITY,
            step=0.05,
            label="The face: 0 as the restorer thinks, 1 nearer to the video",
            visible=faces,
            elem_id=f"{name}-fidelity",
        ),
        gr.Checkbox(False, label="Enlarge the face by the upscaler too", visible=faces, elem_id=f"{name}-face"),
        gr.Checkbox(False, label="Sharper by 4 and 8, for 5 and 21 times the work", elem_id=f"{name}-repeat"),
        gr.Checkbox(
            label, label="A visible sign in the corner: made by a machine", visible=label, elem_id=f"{name}-label"
        ),
    ]


def _buttons(enhancer: EnhancerBundle, name: str) -> tuple[gr.Button, gr.Button]:
    """On which terms, and then: begin, and stop."""
    gr.HTML(terms_text(enhancer.notes), js_on_load=None)
    with gr.Row(elem_classes="hp-buttons"):
        begin = gr.Button("Enlarge", variant="primary", elem_id=f"{name}-make")
        stop = gr.Button("Cancel", elem_id=f"{name}-cancel")
    return begin, stop


def _connect(
    page: gr.Blocks,
    making: Making,
    asked: list[Any],
    places: list[Any],
    begin: gr.Button,
    stop: gr.Button,
    turns: Turns,
) -> None:
    job, faces = places[-1], asked[2].visible
    nothing = [gr.skip()] * len(places)  # said last: Gradio says a generator's last values once more when it ends

    async def make(
        video: Any, scale: Any, fidelity: Any, face: Any, repeat: Any, label: Any, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        of_faces = {"fidelity": fidelity, "face_upsample": face} if faces else {}
        wanted = AskedLarger(video=video, scale=scale, repeat=repeat, label=label, **of_faces)
        told = making.make(str(request.username), wanted)
        async for one in updates(turns.only(str(request.session_hash), told)):
            yield one
        yield nothing

    async def go_on(identity: Any, request: gr.Request) -> AsyncIterator[list[Any]]:
        yield nothing
        told = making.watch(str(request.username), identity)
        async for one in updates(turns.only(str(request.session_hash), told)):
            yield one
        yield nothing

    async def cancel(identity: Any, request: gr.Request) -> Any:
        told = await making.cancel(str(request.username), identity)
        return problem_text(told) if told else gr.skip()

    begin.click(make, asked, places, **QUIET)
    stop.click(cancel, [job], [places[0]], **QUIET)
    page.load(go_on, [job], places, **QUIET)
