"""Puts the page on a service's application, where Gradio is installed. Nothing else outside this room names Gradio."""

from __future__ import annotations

from importlib.util import find_spec

from fastapi import FastAPI
from starlette.routing import Match

from engines.errors import how_to_install
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.door import MOUNT, Door
from hp_trt.apps.web.login import Visitors
from hp_trt.apps.web.making import Making
from hp_trt.apps.web.routes import router
from hp_trt.apps.web.sheets import Sheets

LIVE = "/live"  # where the live channel's page is, if anywhere


def mount_page(app: FastAPI, service: Service) -> str:
    """Add the page to `app`, last of all routes; what to tell whoever serves, "" where all is well."""
    if find_spec("gradio") is None:
        return f"there is no page: gradio is not installed; {how_to_install('web')}, or say --no-page"
    add_page(app, service)
    return ""


def has_address(app: FastAPI, path: str) -> bool:
    """Whether anything answers there, of what has been added so far."""
    asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(dict(asked))[0] is Match.FULL for route in app.routes)


def add_page(app: FastAPI, service: Service) -> None:
    """Live is shown where `app` serves `/live`."""
    from hp_trt.apps.web.page import build_page, gradio_app

    visitors, sheets = Visitors(service.tokens), Sheets(service)
    live = has_address(app, LIVE)
    made = build_page(service, Making(service, sheets), live=LIVE if live else "", out=visitors.sign_in)

    async def begin() -> None:
        made.run_startup_events()
        await made.run_extra_startup_events()

    app.state.visitors, app.state.sheets = visitors, sheets
    app.include_router(router)
    app.mount(MOUNT, Door(gradio_app(made), visitors, service.config.limits, begin))
