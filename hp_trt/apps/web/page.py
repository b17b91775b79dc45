"""The page: a form for each thing that the served bundle can do, in Gradio. It is imported with the first page.

Gradio is asked for forms, tabs and calls alone: files go to the service's own gate (static/page.js), results come from
it, and calls are bounded by `hp_trt.apps.web.door`. Its fonts, counting of users, sharing and editors are off.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from hp_trt.apps.service.job import Kind
from hp_trt.apps.service.routes.info import licence_of
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.door import MOUNT, visitor_of
from hp_trt.apps.web.enlarge_form import enlarge_tab
from hp_trt.apps.web.job_form import job_form
from hp_trt.apps.web.making import Making
from hp_trt.apps.web.said import licence_text
from hp_trt.apps.web.verify_form import verify_form

_FONT = ["system-ui", "sans-serif"]
_MONO = ["ui-monospace", "monospace"]
_MOST_SESSIONS = 50  # whose last values Gradio remembers, which the page asks for nowhere
_SIGN_OUT = '<form method="post" action="/page/logout"><button class="hp-plain" type="submit">Sign out</button></form>'


def build_page(service: Service, making: Making, *, live: str, out: bool) -> gr.Blocks:
    """`live`: the address of the live page, "" where there is none; `out`: whether one can sign out."""
    manifest = service.manifest
    with gr.Blocks(analytics_enabled=False, title="hp-trt", fill_width=False) as made:
        gr.HTML(
            f"<header><h1>hp-trt</h1>{_SIGN_OUT if out else ''}</header>",
            js_on_load=None,
            elem_id="hp-head",
        )
        with gr.Tabs(elem_id="hp-tabs"):
            kind: Kind = "clip" if service.driver == "video" else "talk"
            with gr.Tab(kind.capitalize(), id=kind):
                job_form(made, service, making, kind, licence_text(licence_of(manifest), service.notes))
            if service.enhancer is not None:
                with gr.Tab("Enlarge", id="enlarge"):
                    enlarge_tab(made, service.enhancer, making)
            if live:
                with gr.Tab("Live", id="live"):
                    gr.HTML(_live(live), js_on_load=None)
            with gr.Tab("Verify", id="verify"):
                verify_form(service)
    most = service.config.limits.connections
    made.state_session_capacity = _MOST_SESSIONS
    made.max_threads = most  # whoever follows a job holds one of the queue's places, and no thread
    made.queue(max_size=most, default_concurrency_limit=None, api_open=False)
    return made


def _live(address: str) -> str:
    alone = f'<p><a href="{address}" target="_blank" rel="noopener">Live alone, in a window of its own</a></p>'
    frame = f'<iframe class="hp-live" src="{address}" title="Live" allow="camera; microphone" loading="lazy"></iframe>'
    return frame + alone


def gradio_app(made: gr.Blocks) -> Any:
    """Gradio's own application around the page. It belongs behind the door."""
    carrier = FastAPI()  # Gradio mounts itself; what is mounted is what the door is put before
    gr.mount_gradio_app(
        carrier,
        made,
        path=MOUNT,
        auth_dependency=visitor_of,
        theme=gr.themes.Default(font=_FONT, font_mono=_MONO, primary_hue="blue"),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return next(route.app for route in carrier.routes if isinstance(route, Mount))
