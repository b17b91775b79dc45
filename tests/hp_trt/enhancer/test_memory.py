from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.enhancer.counts import COUNTS
from hp_trt.enhancer.memory import _of_container, available_bytes, check_memory, predicted_bytes


def needed(width, height, scale, **options):
    given = {"writes": True, "restores": True, "weights_bytes": 0} | options
    return predicted_bytes(width, height, result=(width * scale, height * scale), **given)


def test_memory_grows_with_pixels_and_with_what_is_asked_for():
    assert needed(512, 512, 2) < needed(512, 512, 8) < needed(3840, 2160, 2) < needed(7680, 4320, 2)
    assert needed(512, 512, 2, restores=False) < needed(512, 512, 2, writes=False) + (4 << 30)
    assert needed(512, 512, 2, weights_bytes=1 << 30) > needed(512, 512, 2) + (1 << 30)


def test_the_published_upscaler_alone_is_no_small_network():
    """Its activations of a tile, by the table, were nothing fused; the pocket one's are much smaller."""
    upscalers = {name: COUNTS[name]["upscaler"] for name in ("enhancer", "enhancer_pocket")}
    for half in (2, 4):
        sizes = [needed(512, 512, 2, restores=False, weights_bytes=half * one.weights) for one in upscalers.values()]
        held = [half * one.at("held", 1, (480 // 8) ** 2) for one in upscalers.values()]
        assert sizes[0] - sizes[1] > held[0] - held[1]


def test_what_does_not_fit_is_refused_with_what_there_is():
    check_memory("talk.mp4", 4 << 30, (1024, 1024), 5 << 30)
    with pytest.raises(InputError, match=r"talk.mp4 would become 1024 x 1024, .* about 4.0 GiB .* 3.0 GiB are free"):
        check_memory("talk.mp4", 4 << 30, (1024, 1024), 3 << 30)
    with pytest.raises(InputError, match="smaller scale"):
        check_memory("talk.mp4", 0, (16386, 10), 3 << 30)


def test_a_container_has_what_it_was_given_less_what_it_took(tmp_path):
    assert _of_container(tmp_path) is None
    for name, text in (
        ("memory.max", "1000\n"),
        ("memory.current", "600\n"),
        ("memory.stat", "anon 1\ninactive_file 50\n"),
    ):
        (tmp_path / name).write_text(text)
    assert _of_container(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert _of_container(tmp_path) is None
    assert available_bytes() is None or available_bytes() > 0
