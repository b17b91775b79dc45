"""An engine family's part over graphs that are functions: what is timed, compared, and left out."""

from __future__ import annotations

import numpy as np
import pytest

from engines.cuda_trace import Span
from tests import fakes
from tests.fakes import FakeBackend
from tests.gpu.artefacts import Artefact
from tests.gpu.comparing import keep
from tests.gpu.lines import NotRun
from tests.gpu.part_family import FamilyPart
from tests.gpu.sizes import SIZES


class Traced(FakeBackend):
    """A backend with a timeline: every run of a graph took as many seconds as it is long."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def session(self, spec, formula):
        def noted(**arrays):
            self.ran.append(spec.name)
            return formula(**arrays)

        return super().session(spec, noted)

    def spans(self):
        ran, self.ran = self.ran, []
        return [Span(name, "denoise", 5.0 + i, len(name)) for i, name in enumerate(ran)]


@pytest.fixture
def family_part(tmp_path, lines):
    """TensorRT's part with graphs that are functions."""
    size, cells, tokens = SIZES["mini"], (4, 8, 8), (2, 6)
    backend, zeros = Traced(), np.zeros
    window = {"latents": (3, *cells), "motion_tokens": ("rows", 3, *tokens)}
    live = {"latents": ("n", *cells), "motion_tokens": ("rows", "n", *tokens)}
    rows = {"image_latents": ("rows", *cells), "image_tokens": ("rows", *tokens), "row_weights": ("rows",)}
    made = {
        "step_embedding": (
            fakes.spec("step_embedding", {"timesteps": ("s",), "added_time_ids": (3,)}, {"embeddings": ("s", 5)}),
            lambda timesteps, **_: {"embeddings": zeros((len(timesteps), 5), np.float32)},
        ),
        "denoiser": (
            fakes.spec(
                "denoiser", {**window, **rows, "c_in": (1,), "step_embedding": (1, 5)}, {"velocity": (3, *cells)}
            ),
            lambda latents, **_: {"velocity": latents},
        ),
        "stitch": (
            fakes.spec(
                "stitch",
                {
                    "latents": (3, *cells),
                    "velocities": ("t", *cells),
                    "slots": (3, "n"),
                    "weights": (3, "n"),
                    "a": (1,),
                    "b": (1,),
                },
                {"next_latents": (3, *cells)},
                dtypes={"slots": "int64"},
            ),
            lambda latents, **_: {"next_latents": latents},
        ),
        "live_denoiser": (
            fakes.spec(
                "live_denoiser",
                {**live, **rows, "c_in": (1,), "step_embedding": (1, 5)},
                {"velocity": ("n", *cells)},
            ),
            lambda latents, **_: {"velocity": latents},
        ),
        "live_stitch": (
            fakes.spec(
                "live_stitch",
                {"latents": ("n", *cells), "velocities": ("n", *cells), "matrix": ("n", "n"), "a": (1,), "b": (1,)},
                {"next_latents": ("n", *cells)},
            ),
            lambda latents, **_: {"next_latents": latents},
        ),
        "vae_decoder": (
            fakes.decoder_spec("vae_decoder", cells, 64, 64),
            lambda latents: fakes.decoded(zeros((len(latents), 3, 64, 64), np.float32)),
        ),
    }
    sessions = {name: backend.session(spec, formula) for name, (spec, formula) in made.items()}
    return FamilyPart(lines, "tensorrt", size, "cpu", tmp_path, backend=backend, sessions=sessions)


def test_a_plan_is_timed_by_its_own_events_after_the_warm_up(family_part, tmp_path):
    latents = np.zeros((8, 4, 8, 8), np.float32)
    keep(tmp_path / "vae_decoder" / "reference.npz", {"latents": latents}, np.zeros((8, 3, 64, 64)))
    found = family_part.time("vae_decoder")
    assert found.facts["median_s"] == len("vae_decoder") and found.facts["clock"] == "events"
    assert found.facts["repeats"] == 9  # neither the three runs before, nor uploads
    assert family_part.sessions["vae_decoder"].runs[-1] == {"latents": (2, 4, 8, 8)}  # the clip's chunk


def test_a_clip_is_measured_the_second_time_and_its_timeline_begins_at_0(family_part):
    found = family_part.clip()
    assert found.facts["frames"] == SIZES["mini"].clip_frames and found.facts["steps"] == 2
    timeline = found.facts["timeline"]
    assert timeline[0][:3] == ["step_embedding", "denoise", 0.0]
    assert [name for name, *_ in timeline].count("step_embedding") == 1
    assert {name for name, *_ in timeline} == {"step_embedding", "denoiser", "stitch", "vae_decoder"}


@pytest.mark.parametrize("steps", [1, 4])
def test_live_windows_are_measured_once_the_first_ones_are_over(family_part, steps):
    found = family_part.live(steps)
    assert found.text.startswith(f"{found.facts['frames_per_s']:.4g} frames/s, 2 new frames in ")
    assert "(median of 9), windows of 3" in found.text
    denoiser, decoder = (family_part.sessions[name] for name in ("live_denoiser", "vae_decoder"))
    assert len(denoiser.runs) == 13 * steps  # four to warm up
    assert {run["latents"] for run in denoiser.runs} == {(3, 4, 8, 8)}
    assert {run["row_weights"] for run in denoiser.runs} == {(1,)}  # no guidance
    assert [run["latents"][0] for run in decoder.runs] == [3, *[2] * 12]


def test_a_graph_without_a_reference_is_not_compared(family_part):
    with pytest.raises(NotRun, match="nothing to compare with"):
        family_part.parity("vae_decoder")


def test_a_graph_that_is_not_exported_costs_only_its_lines(family_part, tmp_path, monkeypatch):
    del family_part.sessions["denoiser"]
    Artefact(tmp_path, "denoiser").announce(error="see its line among those of the build")
    for call in (lambda: family_part.parity("denoiser"), family_part.clip):
        with pytest.raises(NotRun, match="there is no exported graph of denoiser: see its line"):
            call()
    assert family_part.session("stitch") is not None
