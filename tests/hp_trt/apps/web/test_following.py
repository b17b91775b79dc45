"""A job's events as one view."""

from __future__ import annotations

import asyncio

from hp_trt.apps.service.events import JobEvent
from hp_trt.apps.web.following import View


def event(kind: str, **data) -> JobEvent:
    return JobEvent(number=1, life="a", kind=kind, data=data)


def folded(*events: JobEvent) -> View:
    view = View()
    for one in events:
        view = view.after(one)
    return view


RUNNING = event("state", state="running", attempts=1)


def progress(stage: str, done: int, total: int | None, eta_s: float | None = None) -> JobEvent:
    return event("progress", stage=stage, done=done, total=total, eta_s=eta_s)


def test_stages_are_kept_beside_each_other_and_the_last_time_that_was_told_holds():
    view = folded(RUNNING, progress("read", 3, None), progress("write", 2, 9, 4.5), progress("read", 9, 9))
    assert view.stages == {"read": (9, 9), "write": (2, 9)}
    assert view.eta_s == 4.5
    assert not view.ended


def test_a_job_that_is_queued_again_begins_anew():
    view = folded(RUNNING, progress("write", 2, 9, 4.5), event("state", state="queued", attempts=0))
    assert view == View(state="queued")


def test_what_a_job_ends_with_is_kept_with_its_state():
    done = folded(RUNNING, event("state", state="done", attempts=1), event("result", frames=3), event("note", text="x"))
    assert done.ended
    assert done.result == {"frames": 3}
    failed = folded(RUNNING, event("state", state="failed", attempts=1), event("error", detail="no face"))
    assert failed.ended
    assert failed.problem == "no face"


def test_an_end_is_whole_once_it_is_known_what_it_came_to():
    for state, kind, data in (("done", "result", {"frames": 3}), ("failed", "error", {"detail": "no face"})):
        ended = folded(RUNNING, event("state", state=state, attempts=1))
        assert not ended.is_whole
        assert ended.after(event(kind, **data)).is_whole
    assert folded(RUNNING).is_whole
    assert View(state="cancelled").is_whole


def test_events_that_are_not_known_yet_change_nothing():
    assert folded(event("something-new", a=1)) == View()


def test_following_tells_each_change_and_ends_with_the_job(page):
    """Of a job whose events come from another thread while somebody waits for them."""
    import threading
    from types import SimpleNamespace

    from hp_trt.apps.service.events import JobEvents
    from hp_trt.apps.web.following import follow

    events = JobEvents("life")
    job = SimpleNamespace(state="queued", events=events)

    async def all_of():
        seen = []
        async for view in follow(job):
            seen.append(view.state)
            if view.state == "queued":
                threading.Thread(target=lambda: events.add("state", state="running", attempts=1)).start()
            if view.state == "running":
                threading.Thread(target=finish).start()
        return seen

    def finish():
        events.add("state", state="cancelled", attempts=1)
        events.end()

    events.add("state", state="queued", attempts=0)
    assert asyncio.run(all_of()) == ["queued", "running", "cancelled"]
    assert not events.listeners
