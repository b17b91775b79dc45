"""Contact sheets of results, beside an owner's other things: they count for its quota and go when the results go."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from engines.errors import HpTrtError
from hp_trt.apps.service.job import Job
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.service import Service
from hp_trt.media.contact_sheet import write_sheet

log = logging.getLogger("hp_trt.service")
FOLDER = "page"  # of an owner


class Sheets:
    """Made once for each job that somebody watched to its end."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def have(self, job: Job) -> bool:
        """Whether there is one, made now where it can be: of a clip whose portrait and video were not deleted since."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._service.looking, self._make, job)
        except (HpTrtError, OSError, ValueError, Problem) as error:
            log.info("no contact sheet", extra={"job": job.id, "reason": type(error).__name__})
            return False

    def place(self, job: Job) -> Path:
        """Where it is, or would be."""
        return self._service.state.owners / job.owner / FOLDER / f"{job.id}.png"

    def _make(self, job: Job) -> bool:
        place, asked = self.place(job), job.request
        if place.is_file():
            return True
        if asked.portrait is None or asked.motion is None:
            return False
        self._service.state.folder(job.owner, FOLDER)
        self._sweep(job.owner)
        portraits, motions = self._service.portraits, self._service.motions
        portraits.get(job.owner, asked.portrait)
        driving = None
        if asked.kind == "clip":
            motions.get(job.owner, asked.motion)
            driving = motions.file(job.owner, asked.motion)
        portrait = portraits.file(job.owner, asked.portrait)
        frames = int((job.result or {})["frames"])
        write_sheet(place, portrait=portrait, driving=driving, result=job.result_file, frames=frames)
        return True

    def _sweep(self, owner: str) -> None:
        """Remove those whose results are gone."""
        for place in (self._service.state.owners / owner / FOLDER).glob("j_*.png"):
            try:
                known = self._service.jobs.get(owner, place.stem).state == "done"
            except Problem:
                known = False
            if not known:
                with suppress(OSError):
                    place.unlink()
