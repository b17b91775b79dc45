"""Cards are found by the names that people and drivers use."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.planning.gpus import GPUS, find_card


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("H200", "H200"),
        ("h200", "H200"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX A6000", "RTX A6000"),
    ],
)
def test_a_card_answers_to_its_names(asked, found):
    assert find_card(asked).name == found


@pytest.mark.parametrize(
    "other",
    ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3090 Ti", "NVIDIA GeForce RTX 4080 SUPER", "4090 D"],
)
def test_a_card_of_nearly_the_same_name_is_another_card(other):
    with pytest.raises(InputError, match="no peak numbers are known"):
        find_card(other)


def test_an_unknown_card_is_told_the_nearest_names():
    with pytest.raises(
        InputError, match=r"no peak numbers are known of a GPU 'H300'; the nearest names are H200, H100"
    ):
        find_card("H300")


def test_peaks_are_dense():
    """8-bit units are twice as fast as 16-bit ones, on RTX four times: with sparsity they would seem twice that."""
    for gpu in GPUS.values():
        for ratio in (eight_bit / gpu.fp16 for eight_bit in (gpu.fp8, gpu.int8) if eight_bit):
            assert ratio == pytest.approx(2, rel=0.03) or (
                gpu.name.startswith("RTX") and ratio == pytest.approx(4, rel=0.01)
            )
    # A Hopper GPU's 989 is its data sheet's 1979 halved.
    assert GPUS["H200"].fp16 == pytest.approx(1979e12 / 2, rel=1e-3)
