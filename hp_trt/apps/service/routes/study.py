"""A study, mounted: the page on which people grade clips. Raters have no token of the service's; the gate is passed."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from hp_trt.apps.study.pages import study_router
from hp_trt.measure.study.raters import Raters

PLACE = "/study"


def study_routes(raters: Raters) -> APIRouter:
    """`/study/` and what is below it."""
    router = APIRouter(include_in_schema=False)

    @router.get(PLACE)
    async def to_study() -> RedirectResponse:
        return RedirectResponse(f"{PLACE}/", 307)

    router.include_router(study_router(raters), prefix=PLACE)
    return router
