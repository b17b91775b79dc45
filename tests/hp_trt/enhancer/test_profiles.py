"""The enhancer's choices under names."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.enhancer.networks import GRAPHS
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.profiles import PROFILES, lacks, options_of


def test_every_name_is_another_choice_and_exact_is_the_default():
    chosen = {name: options_of(profile) for name, profile in PROFILES.own().items()}
    assert chosen["exact"] == Options()
    assert len({str(options) for options in chosen.values()}) == len(chosen)
    assert {options.scale for options in chosen.values()} == {2, 4, 8}
    assert [name for name, options in chosen.items() if not options.restore] == ["no-restore"]
    assert [name for name, options in chosen.items() if not options.upscale] == ["no-upscale"]


def test_a_users_file_is_read_and_checked(tmp_path):
    (tmp_path / "p.toml").write_text("[mine]\nbase = 'scale-4'\nrestore = false\n")
    assert options_of(PROFILES.find(tmp_path / "p.toml")) == Options(scale=4, restore=False)
    for text, says in (
        ("scale = 3", "profile mine: there is no scale 3"),
        ("denoiser = 'distilled'", "profile mine: denoiser: only of a model that animates"),
        ("mode = 'live'", "profile mine: mode"),
        ("scales = 4", "did you mean scale"),
    ):
        (tmp_path / "p.toml").write_text(f"[mine]\n{text}\n")
        with pytest.raises(InputError, match=says):
            PROFILES.find(tmp_path / "p.toml")


def test_a_bundle_that_enlarges_alone_lacks_what_restores_and_has_none_to_leave_out():
    assert not lacks(Options(), ("upscaler",)) and not lacks(Options(restore=False), tuple(GRAPHS))
    assert lacks(Options(upscale=False), ("upscaler",)) == ["restorer", "parser", "detector"]
    assert lacks(Options(restore=False), ("upscaler",)) == ["restorer to leave out"]
