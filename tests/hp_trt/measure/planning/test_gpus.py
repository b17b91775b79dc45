"""Cards are found by the names that people and drivers use."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.measure.planning.gpus import GPUS, find_card


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


def test_a_card_of_the_same_name_and_another_capability_is_another_card():
    assert find_card("NVIDIA L40S", "8.9").name == "L40S"
    with pytest.raises(InputError, match="no peak numbers are known"):
        find_card("NVIDIA L40S", "12.0")


def test_an_unknown_card_is_told_the_nearest_names():
    with pytest.raises(
        InputError, match=r"no peak numbers are known of a GPU 'H300'; the nearest names are H200, H100"
    ):
        find_card("H300")


def test_peaks_are_dense():
    """8-bit units are twice as fast as 16-bit ones that add up alike: with sparsity they would seem twice that.

    GeForce cards add up floats in fp32 at half speed, so that int8 is four times as fast there.
    """
    for gpu in GPUS.values():
        geforce = gpu.name.startswith("RTX") and gpu.name not in ("RTX A6000", "RTX 6000 Ada")
        if gpu.fp8:
            assert gpu.fp8 / gpu.fp16 == pytest.approx(2, rel=0.03)
        assert gpu.int8 / gpu.fp16 == pytest.approx(4 if geforce else 2, rel=0.03)
    # A Hopper GPU's 989 is its data sheet's 1979 halved.
    assert GPUS["H200"].fp16 == pytest.approx(1979e12 / 2, rel=1e-3)


def test_fp8_came_with_ada():
    assert {gpu.name for gpu in GPUS.values() if gpu.fp8} == {
        gpu.name for gpu in GPUS.values() if float(gpu.capability) >= 8.9
    }


@pytest.mark.parametrize(
    ("name", "multiprocessors", "mhz"),
    [  # as sold, at their boost clock
        ("RTX 5090", 170, 2407),
        ("RTX 5080", 84, 2617),
        ("RTX 5070 Ti", 70, 2452),
        ("RTX 4090", 128, 2520),
        ("RTX 4080", 76, 2505),
        ("RTX 3090", 82, 1695),
        ("RTX 3080", 68, 1710),
    ],
)
def test_a_geforce_multiprocessor_does_512_operations_a_clock_in_fp16_1024_in_fp8_and_2048_in_int8(
    name, multiprocessors, mhz
):
    card, clocks = GPUS[name], multiprocessors * mhz * 1e6
    assert card.fp16 == pytest.approx(512 * clocks, rel=3e-3)
    assert card.int8 == pytest.approx(2048 * clocks, rel=3e-3)
    assert card.fp8 is None or card.fp8 == pytest.approx(1024 * clocks, rel=3e-3)


def test_a_card_without_such_units_says_so():
    assert GPUS["H100"].peak("float8") == GPUS["H100"].fp8
    assert GPUS["A100"].peak("int8") == 624e12
    with pytest.raises(InputError, match=r"A100 computes nothing in float8.*take a bundle in fp16"):
        GPUS["A100"].peak("float8")
