"""What `hp-trt plan` takes a card to reach, against arithmetic on paper: the exact denoiser, part by part.

Two rows of 25 frames at 512 px, counted on meta tensors. A part takes the longer of its arithmetic and its traffic.
"""

from __future__ import annotations

import pytest

from hp_trt.measure.planning.gpus import GPUS, Gpu
from hp_trt.measure.planning.planned_model import model_of_preset
from hp_trt.measure.planning.predict import Card
from runtime.work import Call

PRODUCT, ATTENTION = 0.8, 0.5  # of what a plain product reaches
APART = {  # part -> TFLOP, GB, and which part of the ceiling its products reach; all of it read and written for itself
    "linears": (32.17, 86.5, PRODUCT),
    "3x3 convolutions": (20.02, 8.1, PRODUCT),
    "spatial self-attention": (6.12, 4.6, ATTENTION),
    "convolutions in time": (4.22, 5.1, PRODUCT),
    "1x1 convolutions": (0.90, 2.5, PRODUCT),
    "cross-attention": (0.59, 9.4, ATTENTION),
    "temporal self-attention": (0.06, 4.7, ATTENTION),
    "GEGLU's gelu and product": (0, 69, 1),
    "sums, blends": (0, 62, 1),
    "copies for layout": (0, 27.9, 1),
    "group norms": (0, 20.7, 1),
    "layer norms": (0, 16.2, 1),
    "SiLU": (0, 11.5, 1),
    "concatenations, upsampling": (0, 3.7, 1),
}
# As builders usually fuse: SiLU in norms, gelu with its product (14 of 22 widths are moved), half of the sums.
FUSED = APART | {"GEGLU's gelu and product": (0, 69 * 14 / 22, 1), "sums, blends": (0, 31, 1), "SiLU": (0, 0, 1)}
WHOLE_TFLOP = sum(tflop for tflop, _, _ in APART.values())


def seconds(parts, tflop_s: float, tb_s: float) -> float:
    return sum(max(tflop / (share * tflop_s), gb / 1e3 / tb_s) for tflop, gb, share in parts.values())


def measured_like(gpu: Gpu) -> tuple[float, float]:
    """TFLOP/s of a plain product and TB/s of a copy, as on the cards that somebody measured."""
    geforce = gpu.name.startswith("RTX") and gpu.name not in ("RTX A6000", "RTX 6000 Ada")
    return gpu.fp16 / 1e12 * (1.0 if geforce else 0.8), gpu.bandwidth / 1e12 * 0.9


@pytest.mark.parametrize(
    ("tflop_s", "tb_s", "apart_ms", "fused_ms"), [(798, 3.0, 183, 158), (788, 4.3, 161, 143), (165, 0.92, 755, 674)]
)
def test_the_parts_add_up_to_the_layers(tflop_s, tb_s, apart_ms, fused_ms):
    """The times are sums over single layers; of parts, a layer that is short of bytes hides behind one that is not."""
    assert 1e3 * seconds(APART, tflop_s, tb_s) == pytest.approx(apart_ms, rel=0.02)
    assert 1e3 * seconds(FUSED, tflop_s, tb_s) == pytest.approx(fused_ms, rel=0.02)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=list(GPUS))
def test_every_card_is_taken_to_reach_what_the_fused_denoiser_would(gpu):
    reached = WHOLE_TFLOP / seconds(FUSED, *measured_like(gpu)) / (gpu.fp16 / 1e12)
    assert gpu.attainable == pytest.approx(reached, abs=0.015)


@pytest.mark.parametrize(("name", "ms"), [("H100", 158), ("H200", 143), ("RTX 4090", 674)])
def test_a_planned_step_takes_as_long_as_on_paper(name, ms):
    """Within the two digits that `attainable` has."""
    timed = Card(gpu=GPUS[name]).graph(
        model_of_preset("hunyuanportrait"), Call(graph="denoiser", units=2, times=1, frames=25)
    )
    assert timed.bound == "arithmetic"
    assert 1e3 * timed.seconds == pytest.approx(ms, rel=0.03)


def test_the_parts_are_all_of_the_denoiser_that_is_counted():
    call = Call(graph="denoiser", units=2, times=1, frames=25)
    # The paper has the products of two rows; what differs is rounding.
    assert model_of_preset("hunyuanportrait").flops(call) / 1e12 == pytest.approx(WHOLE_TFLOP, rel=1e-3)
