"""A job as the page shows it: a line on how it stands, bars, its result, and what the browser remembers of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from hp_trt.apps.web.making import Shown
from hp_trt.apps.web.said import problem_text, progress_text, result_text, state_text

NOTHING = "<p>Nothing is being made.</p>"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_STATUS = "hpTrt.status(element)"
_MOST_TABS = 1000


class Turns:
    """Which clip each tab shows, by the name of the tab's session: what follows an older one has to end.

    Gradio would end it by an address of its own, and so would a state of Gradio's need one.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[str, object] = OrderedDict()

    def begin(self, tab: str) -> None:
        """From here on the tab shows another clip."""
        self._of[tab] = object()
        self._of.move_to_end(tab)
        while len(self._of) > _MOST_TABS:
            self._of.popitem(last=False)

    async def only(self, tab: str, told: AsyncIterator[Shown]) -> AsyncIterator[Shown]:
        """What is told while the tab shows the clip that it shows now."""
        mine = self._of.get(tab)
        async for one in told:
            if self._of.get(tab) is not mine:
                return
            yield one


def remembered(name: str) -> gr.BrowserState:
    """The id of the last job of this name. Not for inside of what may be hidden: there Gradio reads nothing."""
    return gr.BrowserState("", storage_key=f"hp-trt-{name}", secret="hp-trt")


def job_places(name: str, job: gr.BrowserState) -> list[Any]:
    """Where a job is shown: the places that `updates` fills, the last of which is its id."""
    state = gr.HTML(NOTHING, js_on_load=_STATUS, elem_id=f"{name}-state")
    progress = gr.HTML("", js_on_load=None, elem_id=f"{name}-progress")
    result = gr.HTML("", js_on_load=None, elem_id=f"{name}-result")
    return [state, progress, result, job]


async def updates(told: AsyncIterator[Shown]) -> AsyncIterator[list[Any]]:
    """What changes on the screen. A line that is read out changes only where it says something else."""
    said = made = None
    async for one in told:
        if one.problem:
            yield [problem_text(one.problem), "", gr.skip(), gr.skip()]
            continue
        state, result = state_text(one.view), result_text(one.view, one.job, sheet=one.sheet, sidecar=one.sidecar)
        yield [
            gr.skip() if state == said else state,
            progress_text(one.view),
            gr.skip() if result == made else result,
            one.job,
        ]
        said, made = state, result
