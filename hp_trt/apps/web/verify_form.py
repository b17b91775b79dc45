"""The form that says what a file carries of its origin: `hp-trt verify`, of a file that is not kept."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from html import escape
from typing import Any

import gradio as gr

from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.verifier import look_at
from hp_trt.apps.web.said import file_field, problem_text
from hp_trt.apps.web.shown_files import place_of
from hp_trt.apps.web.verifying import verdict_lines

log = logging.getLogger("hp_trt.service")


def verify_form(service: Service) -> None:
    """Inside a tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            hint = "A video or a picture. It is looked at, and not kept."
            field = file_field("verified", "File", "/page/uploads/verified", "video/*,image/*", hint=hint)
            file = gr.HTML("", html_template=field, js_on_load="hpTrt.field(element, props)", elem_id="verified")
            begin = gr.Button("Verify", variant="primary", elem_id="verify-begin")
        with gr.Column(min_width=300):
            said = gr.HTML("", js_on_load="hpTrt.status(element)", elem_id="verify-said")

    async def look(name: Any, request: gr.Request) -> AsyncIterator[str]:
        yield "<p>It is being looked at.</p>"  # which takes seconds
        yield await verdict_text(service, str(request.username), name)

    begin.click(look, [file], [said], show_progress="hidden", api_visibility="private")


async def verdict_text(service: Service, owner: str, name: Any) -> str:
    """The verdict on an upload, which is gone then, as HTML. A problem is told, never raised.

    The file is looked at as `POST /v1/verify` does: in a process of its own, among the same few at a time.
    """
    try:
        place = place_of(service, owner, name)
    except Problem as missing:
        return problem_text(missing.detail)
    try:
        with service.verifies.one():
            word, lines = verdict_lines(await look_at(place, service.config.limits), place)
    except Exception as error:
        problem = problem_of(error, {place: "the file"})
        if problem.slug == "internal":
            log.error("the page could not verify a file", exc_info=error)
        return problem_text(problem.detail.replace(place.name, "the file"))
    finally:
        place.unlink(missing_ok=True)
    return f"<p><strong>{escape(word)}</strong></p><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
