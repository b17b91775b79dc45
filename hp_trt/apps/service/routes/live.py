"""Live sessions: what stands in the room `live`, mounted for the callers that the service knows."""

from __future__ import annotations

from fastapi import APIRouter

from hp_trt.apps.service.asking import owner_of
from hp_trt.apps.service.live.router import live_router
from hp_trt.apps.service.live.sessions import LiveSessions


def live_routes(sessions: LiveSessions) -> APIRouter:
    """`/v1/live`. The service's gate looks at hosts and origins."""
    return live_router(sessions, who=owner_of)
