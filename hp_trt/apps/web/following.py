"""A job as whoever watches it sees it: its events, folded into one view that is whole at any time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hp_trt.apps.service.events import JobEvent
from hp_trt.apps.service.job import Job, JobState

_LOOKS_EVERY_S = 15.0


@dataclass(frozen=True, kw_only=True)
class View:
    """`stages`: done and total of each that has begun. `problem`: the text of what it failed with, "" otherwise."""

    state: JobState = "queued"
    stages: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    eta_s: float | None = None
    result: Mapping[str, Any] | None = None
    problem: str = ""

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def is_whole(self) -> bool:
        """Whether what belongs to its state is known: a result and an error are told after the state."""
        return bool((self.state != "done" or self.result) and (self.state != "failed" or self.problem))

    def after(self, event: JobEvent) -> View:
        """The view once `event` is known."""
        data = event.data
        match event.kind:
            case "state" if data["state"] in ("queued", "running"):  # begun again: what was done of it is done again
                return View(state=data["state"])
            case "state":
                return replace(self, state=data["state"])
            case "progress":
                stages = {**self.stages, data["stage"]: (data["done"], data["total"])}
                return replace(self, stages=stages, eta_s=self.eta_s if data["eta_s"] is None else data["eta_s"])
            case "result":
                return replace(self, result=data)
            case "error":
                return replace(self, problem=data["detail"])
        return self


async def follow(job: Job) -> AsyncIterator[View]:
    """A view whenever something has happened, until the job has ended or the service ends."""
    view, number = View(state=job.state), 0
    while True:
        found, ended = job.events.after(number)
        for event in found:
            number, view = event.number, view.after(event)
        if found and view.is_whole:
            yield view
        if ended and not job.events.after(number)[0]:
            return
        await job.events.wait(number, _LOOKS_EVERY_S)
