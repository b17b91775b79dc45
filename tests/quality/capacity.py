"""The tables of docs/capacity.md: python -m tests.quality.capacity [--measure]

With `--measure` the simulation is held against the service: clips that are all there at the start, and clips that come
by chance, on one device and on two, which are lanes with a thread each. It takes five minutes of two idle cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hp_trt.measure.capacity.clips import Load, devices_for, queued, simulate
from hp_trt.measure.capacity.sessions import places_for
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.sample import write_sample
from tests.hp_trt.apps.service.process import Process

CARDS = ("H200", "H100", "L40S", "RTX 4090", "L4")
RATE, MINUTE = 25, 60
MINUTES_AN_HOUR = (1, 10, 100, 1_000, 10_000)
SESSIONS = (1, 10, 100, 1_000, 10_000)
MOST_WAIT_S, MOST_REFUSED = 60.0, 0.01
SIMULATED = 20_000
_CLIPS, _USED = 20, 0.7  # measured: so many at once; and by chance, with so much of the devices' time in use


def minute_s(card: str, profile: str, preset: str) -> float:
    """Seconds of one card for a minute of video; of mode live for as long a stream."""
    made = plan(PredictConfig(gpu=card, profile=profile, preset=preset, frames=RATE * MINUTE)).prediction
    return RATE * MINUTE / made.frames_per_s


def sessions_of(card: str, preset: str) -> int:
    """Live sessions at 25 frames/s that one card carries; they take turns at it."""
    made = plan(PredictConfig(gpu=card, profile="live", preset=preset, rate=float(RATE))).prediction
    return int(made.frames_per_s / RATE)


def of_cards() -> Iterator[str]:
    """What a minute of video costs, by card."""
    yield "| card | exact, s | cards for real time | a minute at 1.00 an hour | live, frames/s | sessions |"
    yield "|---|---:|---:|---:|---:|---:|"
    for card in CARDS:
        exact = minute_s(card, "exact", "hunyuanportrait")
        live = plan(PredictConfig(gpu=card, profile="live", preset="hunyuanportrait", rate=float(RATE))).prediction
        yield (
            f"| {card} | {exact:.0f} | {exact / MINUTE:.1f} | {exact / 3600:.3f} | {live.frames_per_s:.1f} | "
            f"{sessions_of(card, 'hunyuanportrait')} |"
        )


def of_clips(card: str) -> Iterator[str]:
    """Devices for clips that come by chance."""
    takes = minute_s(card, "exact", "hunyuanportrait")
    yield "| clips of a minute, an hour | devices | in use | wait p50, s | wait p95, s | busy alone would be |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for an_hour in MINUTES_AN_HOUR:
        load = Load(clips=SIMULATED, every_s=3600 / an_hour, takes_s=[takes])
        devices = devices_for(load, most_wait_s=MOST_WAIT_S)
        served = simulate(load, devices)
        alone = takes * an_hour / 3600
        yield (
            f"| {an_hour:,} | {devices:,} | {served.busy:.0%} | {served.wait_s(0.5):.0f} | {served.wait_s(0.95):.0f} | "
            f"{alone:,.1f} |"
        )


def of_sessions() -> Iterator[str]:
    """Places for live sessions that come by chance."""
    yield "| sessions at a time, on average | places | in use |"
    yield "|---:|---:|---:|"
    for sessions in SESSIONS:
        places = places_for(sessions, most_refused=MOST_REFUSED)
        yield f"| {sessions:,} | {places:,} | {sessions * (1 - MOST_REFUSED) / places:.0%} |"


def measured(folder: Path, devices: int) -> tuple[list[float], float, list[float], list[float], list[float]]:
    """Of a service with so many lanes of a thread each: what clips took, how long all of `_CLIPS` took; and of clips
    that came by chance when they came, how long they waited and what they took."""
    portrait, motion = (path.read_bytes() for path in write_sample(folder / "sample", frames=12))
    words = "-m hp_trt serve --bundle shipped:pocket --port 0 --no-page --live-lanes 0 --threads 1".split()
    words += ["--clip-lanes", str(devices), "--state", str(folder / f"state-{devices}")]
    config = folder / "settings.toml"
    config.write_text("[limits]\nwaiting_per_token = 200\nrunning_per_token = 64\n")
    with Process(folder / f"state-{devices}", command=[*words, "--config", str(config)]) as service:
        names = service.upload(portrait, motion)
        warm = [service.job(*names) for _ in range(2 * devices)]
        for job in warm:
            service.until(job["id"], "done")
        at_once = [service.job(*names)["id"] for _ in range(_CLIPS)]
        done = [service.until(job, "done", timeout_s=600) for job in at_once]
        takes = [job["ended_s"] - job["started_s"] for job in done]
        all_s = max(job["ended_s"] for job in done) - min(job["created_s"] for job in done)
        rng, every_s, came = np.random.default_rng(devices), float(np.mean(takes)) / devices / _USED, []
        for _ in range(3 * _CLIPS):
            came.append(service.job(*names)["id"])
            time.sleep(rng.exponential(every_s))
        found = [service.until(job, "done", timeout_s=600) for job in came]
        created = [job["created_s"] for job in found]
        waits = [job["started_s"] - job["created_s"] for job in found]
        return takes, all_s, created, waits, [job["ended_s"] - job["started_s"] for job in found]


def held_against_the_service() -> Iterator[str]:
    """The simulation beside what the service did."""
    yield "| devices | | the service, s | the simulation, s | off by |"
    yield "|---:|---|---:|---:|---:|"
    alone: list[float] = []
    with tempfile.TemporaryDirectory(prefix="capacity-") as made:
        for devices in (1, 2):
            takes, all_s, created, waits, lengths = measured(Path(made), devices)
            alone = alone or takes
            expected = simulate(Load(clips=_CLIPS, every_s=None, takes_s=takes), devices).all_s
            yield _row(devices, f"{_CLIPS} clips at once, until the last", all_s, expected)
            of_one = simulate(Load(clips=_CLIPS, every_s=None, takes_s=alone), devices).all_s
            yield _row(devices, "the same, from what one device took", all_s, of_one)
            served = queued(np.array(created) - created[0], np.array(lengths), devices)
            mean_s = float(served.waits_s.mean())
            yield _row(devices, f"{len(waits)} by chance, mean wait", float(np.mean(waits)), mean_s)


def _row(devices: int, what: str, found: float, expected: float) -> str:
    return f"| {devices} | {what} | {found:.2f} | {expected:.2f} | {expected / found - 1:+.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="hold the simulation against the service")
    tables = [of_cards(), of_clips("H200"), of_sessions()]
    if parser.parse_args().measure:
        tables.append(held_against_the_service())
    for table in tables:
        for line in table:
            print(line, flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
