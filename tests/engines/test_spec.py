"""Names of graphs."""

from __future__ import annotations

from engines.spec import plain_name


def test_the_name_of_a_graph_in_8_bits_has_its_plain_one_in_it():
    assert plain_name("live_denoiser_fp8") == ("live_denoiser", "fp8")
    assert plain_name("denoiser_int8") == ("denoiser", "int8")
    assert plain_name("denoiser_inner") == ("denoiser_inner", None)
