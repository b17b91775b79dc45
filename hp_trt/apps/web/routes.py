"""What the page needs of the service beside Gradio: signing in, uploads, results, and its own script and style.

Uploads are the API's own routes, called with the visitor in place of a token's owner. A browser cannot send a token
with a video or a picture, so results have addresses here that take the page's cookie. `app.state.visitors` and
`app.state.sheets` are set where the page is mounted.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from fastapi.routing import APIRoute

from hp_trt.apps.service.asking import TheService, check_not_draining, on_disk
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.routes.jobs import job_result
from hp_trt.apps.service.routes.motions import upload_motion
from hp_trt.apps.service.routes.portraits import upload_portrait
from hp_trt.apps.service.routes.uploading import receive
from hp_trt.apps.service.routes.videos import upload_video
from hp_trt.apps.service.uploads import body_chunks
from hp_trt.apps.web.login import COOKIE, LASTS_S, SIGN_IN, Visitors
from hp_trt.apps.web.shown_files import new_place

_STATIC = Path(__file__).parent / "static"
_OWN = {"page.js": "text/javascript", "page.css": "text/css"}
_MOST_FORM_BYTES = 4096
_SIGN_IN_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CLOSED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none a browser sends forms as from nowhere, and the gate refuses these
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}


class ClosedRoute(APIRoute):
    """A route whose answers no other site may use."""

    def get_route_handler(self) -> Any:
        handle = super().get_route_handler()

        async def closed(request: Request) -> Response:
            answer: Response = await handle(request)
            answer.headers.update(CLOSED)
            return answer

        return closed


router = APIRouter(include_in_schema=False, route_class=ClosedRoute)


def _visitors(request: Request) -> Visitors:
    found: Visitors = request.app.state.visitors
    return found


def _visitor(request: Request) -> str:
    """Whose request it is. Raises Problem."""
    owner = _visitors(request).owner(request.headers.get("cookie"))
    if owner is None:
        raise Problem("unauthorized", "you are signed out; load the page again and sign in")
    return owner


Visitor = Annotated[str, Depends(_visitor)]


@router.get("/")
@router.get("/page")
async def to_page() -> Response:
    """The page is what people look for."""
    return RedirectResponse("/page/", 307)


@router.get("/page/login")
async def sign_in(request: Request) -> Response:
    """Where a token is shown, if anybody has to."""
    return _sign_in("") if _visitors(request).sign_in else RedirectResponse("/page/", 303)


@router.post("/page/login")
async def signed_in(request: Request, service: TheService) -> Response:
    """A token becomes a cookie."""
    chunks = [chunk async for chunk in body_chunks(request, service.config.limits, most=_MOST_FORM_BYTES)]
    tokens = parse_qs(b"".join(chunks).decode("latin-1")).get("token", [""])
    try:
        made = _visitors(request).cookie(tokens[0].strip())
    except Problem:
        return _sign_in("The service does not know this token. Look for a letter too many, or ask who runs it.")
    answer = RedirectResponse("/page/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, made, LASTS_S, path="/page", secure=secure, httponly=True, samesite="strict")
    return answer


@router.post("/page/logout")
async def sign_out() -> Response:
    """The cookie is taken away."""
    answer = RedirectResponse("/page/login", 303)
    answer.delete_cookie(COOKIE, path="/page", httponly=True, samesite="strict")
    return answer


def _sign_in(problem: str) -> HTMLResponse:
    said = f'<p class="hp-wrong" role="alert">{escape(problem)}</p>' if problem else ""
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _SIGN_IN_POLICY}
    return HTMLResponse(SIGN_IN.format(said=said), 401 if problem else 200, headers)


@router.post("/page/uploads/portrait")
async def portrait(request: Request, service: TheService, owner: Visitor) -> Response:
    """As `POST /v1/portraits`."""
    return await upload_portrait(request, service, owner)


@router.post("/page/uploads/motion")
async def motion(request: Request, service: TheService, owner: Visitor) -> Response:
    """As `POST /v1/motions`."""
    return await upload_motion(request, service, owner)


@router.post("/page/uploads/video")
async def video(request: Request, service: TheService, owner: Visitor) -> Response:
    """As `POST /v1/videos`."""
    return await upload_video(request, service, owner)


@router.post("/page/uploads/verified")
async def verified(
    request: Request, service: TheService, owner: Visitor, suffix: Annotated[str, Query(max_length=300)] = ""
) -> Response:
    """A file that is looked at and not kept."""
    check_not_draining(service)
    with service.uploads.one():
        try:
            place = await on_disk(service, new_place, service, owner, suffix)
            received = await receive(request, service, place, owner, most=service.config.limits.verify_bytes)
        except OSError as error:
            raise problem_of(error) from error
    return JSONResponse({"id": place.name, "bytes": received.bytes, "facts": {}}, 201)


@router.get("/page/jobs/{id}/result")
async def result(id: str, request: Request, service: TheService, owner: Visitor) -> Response:
    """As `GET /v1/jobs/{id}/result`."""
    return await job_result(id, request, service, owner)


router.head("/page/jobs/{id}/result")(result)


@router.get("/page/jobs/{id}/sheet")
async def sheet(id: str, request: Request, service: TheService, owner: Visitor) -> Response:
    """The contact sheet of a job that is done."""
    job = service.jobs.get(owner, id)
    sheets = request.app.state.sheets
    if job.state != "done" or not await sheets.have(job):
        raise Problem("not-found", "there is no contact sheet of this job, or not any more")
    return FileResponse(sheets.place(job), media_type="image/png", headers={"Cache-Control": "private, no-cache"})


@router.get("/page/own/{name}")
async def own(name: str) -> Response:
    """The page's script and style."""
    if name not in _OWN:
        raise Problem("not-found", "there is nothing at this address")
    return Response((_STATIC / name).read_bytes(), media_type=_OWN[name], headers={"Cache-Control": "no-cache"})
