"""What /v1/info says that a clip needs: as `hp-trt plan` says it, without a graph that is opened or measured."""

from __future__ import annotations

import pytest

from engines.bundle import Bundle
from engines.gpu import Gpu, NoGpu
from hp_trt.apps.service import service as service_module
from hp_trt.apps.service.planned import FRAMES, plan_all
from hp_trt.config import RuntimeConfig
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.measure.planning.predict import CUDA_CONTEXT_BYTES
from hp_trt.shipped import bundle_folder
from tests.hp_trt.apps.service.test_jobs import killed

H200 = Gpu(index=0, name="NVIDIA H200", capability="9.0", total_bytes=150_000_000_000, driver_cuda=(13, 0))
BUNDLES = {"shipped:pocket": ("exact", "balanced", "live"), "shipped:talk_pocket": ("exact", "live")}


def said(name: str, profile: str) -> dict:
    """By the command's own function, for a card."""
    config = PredictConfig(gpu="H200", bundle=bundle_folder(name), profile=profile, frames=FRAMES)
    return plan(config).to_json()["prediction"]


@pytest.mark.parametrize("name", BUNDLES)
def test_a_plan_is_that_of_the_command(name):
    bundle = Bundle.open(bundle_folder(name), family="")
    on_cpu = plan_all(bundle, BUNDLES[name], RuntimeConfig())
    on_card = plan_all(bundle, BUNDLES[name], RuntimeConfig(provider="cuda"), lambda index: H200)
    for here, there in zip(on_cpu, on_card, strict=True):
        command = said(name, here.profile)
        assert here.flops == there.flops == round(command["flops"]) and here.mode == command["mode"]
        assert there.memory_bytes == round(command["memory"]["total"])
        assert here.memory_bytes == there.memory_bytes - CUDA_CONTEXT_BYTES
        assert there.seconds == round(command["total_s"], 3) and there.device == "H200"
        assert here.seconds is None and here.device is None, "a CPU's speed is not known without measuring it"


@pytest.mark.parametrize(
    "gpu", [NoGpu(found="none", fix="none"), Gpu(**vars(H200) | {"name": "A card of next year", "capability": "99.0"})]
)
def test_of_a_card_whose_data_sheet_is_not_known_no_seconds_are_said(gpu):
    bundle = Bundle.open(bundle_folder("shipped:pocket"), family="")
    (found,) = plan_all(bundle, ["exact"], RuntimeConfig(provider="cuda"), lambda index: gpu)
    assert found.seconds is None and found.memory_bytes > CUDA_CONTEXT_BYTES


def test_it_is_worked_out_once_and_has_live_sessions_too(serving, monkeypatch):
    asked, plain = [], service_module.plan_all
    monkeypatch.setattr(service_module, "plan_all", lambda *given: asked.append(given) or plain(*given))
    running = serving(profiles=("exact", "balanced"))
    first, second = (running.ask("GET", "/v1/info").json()["plan"] for _ in range(2))
    assert [one["profile"] for one in first] == ["exact", "balanced", "live"] and first == second
    assert len(asked) == 1 and {one["frames"] for one in first} == {FRAMES}
    without = serving(live_lanes=0, state=running.service.state.path.with_name("other"))
    assert [one["profile"] for one in without.ask("GET", "/v1/info").json()["plan"]] == ["exact"]


def test_how_fast_clips_were_is_said_once_one_was_made_here(serving, video):
    running = serving()
    running.hand.frame_s = 0.002
    speed = lambda of: of.ask("GET", "/v1/info").json()["plan"][0]["made_frames_per_s"]  # noqa: E731
    assert speed(running) is None
    portrait, motion = running.portrait(), running.motion(video)
    running.ended(running.job(portrait, motion, steps=1).json()["id"])
    assert speed(running) is None, "of other steps than the bundle's own"
    made = [running.ended(running.job(portrait, motion).json()["id"])["result"] for _ in range(3)]
    rates = sorted(one["frames"] / one["seconds"] for one in made)
    assert speed(running) == round(rates[1], 3)
    assert speed(serving(state=killed(running))) is None, "of another process, which may have had other cores"
