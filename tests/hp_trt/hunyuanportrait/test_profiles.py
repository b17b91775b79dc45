"""Which graphs a profile of HunyuanPortrait needs, and which shortcuts exclude each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.errors import InputError
from hp_trt.hunyuanportrait.profiles import (
    STREAMED,
    find_profile,
    fitted,
    graphs,
    own_profiles,
    read_profiles,
    roles,
    sampling_of,
)


def test_exact_leaves_nothing_out():
    exact = find_profile("exact")
    assert (exact.mode, exact.denoiser, exact.decoder, dict(exact.sampling)) == ("clip", "full", "full", {})
    whole = "appearance motion vae_encoder step_embedding denoiser stitch vae_decoder"
    assert graphs(exact) == tuple(whole.split())


def test_live_needs_the_graphs_of_live_mode():
    assert {"live_denoiser", "live_stitch", "tiny_decoder"} <= set(graphs(find_profile("live")))
    named = roles(find_profile("live"))
    assert [named[role] for role in ("denoiser", "stitch", "decoder")] == [
        "live_denoiser",
        "live_stitch",
        "tiny_decoder",
    ]
    assert all(named[role] == role for role in ("appearance", "motion", "vae_encoder", "step_embedding"))


def test_live_takes_the_full_decoder_where_a_bundle_has_no_small_one():
    live = find_profile("live")
    assert fitted(live, {"live_denoiser", "vae_decoder"}).decoder == "full"
    assert fitted(live, {"live_denoiser", "vae_decoder", "tiny_decoder"}).decoder == "tiny"
    assert roles(fitted(live, ()))["decoder"] == "vae_decoder"


def test_who_asks_for_the_small_decoder_by_name_is_given_no_other(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[mine]\nbase = "live"\ndecoder = "tiny"\n[same]\nbase = "live"\nsteps = 2\n')
    mine, same = read_profiles(file).values()
    assert roles(fitted(mine, ()))["decoder"] == "tiny_decoder"
    assert roles(fitted(same, ()))["decoder"] == "vae_decoder"  # its base's words hold for it too


def test_deep_features_are_reused_by_the_denoiser_in_two_parts_in_either_mode(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[clip]\ndeep_every = 3\n[stream]\nmode = "live"\ndeep_every = 2\n[off]\ndeep_every = 1\n')
    clip, stream, off = read_profiles(file).values()
    for profile in (clip, stream):
        assert roles(profile)["inner"] == "denoiser_inner"
        assert roles(profile)["denoiser"] == "denoiser_outer"
        assert "denoiser" not in graphs(profile)  # the whole one is not opened beside its parts
    assert "inner" not in roles(off)


def test_a_distilled_denoiser_has_nothing_to_reuse(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[mine]\ndenoiser = "distilled"\ndeep_every = 2\n')
    with pytest.raises(InputError, match=r"profile mine: deep_every is for the full denoiser.*set denoiser = "):
        read_profiles(file)


def test_a_denoiser_in_8_bits_is_a_graph_of_its_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[clip]\nquantize = "fp8"\n[stream]\nbase = "live"\nquantize = "int8"\n')
    clip, stream = read_profiles(file).values()
    assert roles(clip)["denoiser"] == "denoiser_fp8" and "denoiser" not in graphs(clip)
    assert roles(stream)["denoiser"] == "live_denoiser_int8"
    file.write_text('[mine]\nquantize = "int8"\ndeep_every = 2\n')
    with pytest.raises(InputError, match=r"in two parts, for deep_every, is not quantised; set quantize = "):
        read_profiles(file)
    file.write_text('[mine]\nquantize = "int4"\n')
    with pytest.raises(InputError, match="quantize is one of none, int8, fp8, got 'int4'"):
        read_profiles(file)


def test_the_roles_of_a_live_sessions_threads_are_roles():
    assert {role for profile in own_profiles().values() for role in roles(profile)} | {"inner"} >= STREAMED


@pytest.mark.parametrize(("name", "steps"), [("", 1), ("-2", 2), ("-3", 3), ("-4", 4)])
def test_short_windows_are_live_ones_of_four_frames_in_one_to_four_steps(name, steps):
    live, short = find_profile("live"), find_profile(f"live-short{name}")
    assert (short.windows.size, short.windows.new_frames(1), short.sampling["steps"]) == (4, 3, steps)
    windows = replace(live.windows, size=4)
    same = replace(
        live, name=short.name, about=short.about, windows=windows, sampling={**live.sampling, "steps": steps}
    )
    assert short == same  # the small decoder if there is one, and no guidance


def test_sampling_is_the_bundles_then_the_profiles_then_the_callers():
    own, profile = {"steps": 9, "window": 5, "seed": 3}, find_profile("live")
    made = sampling_of(own, profile, seed=4, steps=None)
    assert (made.window, made.steps, made.seed) == (5, profile.sampling["steps"], 4)
    with pytest.raises(InputError, match=r"there is no sampling option step; did you mean steps\?"):
        sampling_of(own, profile, step=3)


def test_what_a_cut_does_is_released_in_exact_and_anew_elsewhere(tmp_path):
    own = own_profiles()
    assert own["exact"].cuts == "released"
    assert {profile.cuts for name, profile in own.items() if name != "exact"} == {"anew"}
    file = tmp_path / "mine.toml"
    file.write_text(
        '[a]\nmode = "live"\n[b]\nbase = "live"\ncuts = "released"\n[c]\nbase = "balanced"\n[d]\nsteps = 2\n'
    )
    assert [profile.cuts for profile in read_profiles(file).values()] == ["anew", "released", "anew", "released"]
    file.write_text('[e]\ncuts = "never"\n')
    with pytest.raises(InputError, match="cuts is one of released, anew, got 'never'"):
        read_profiles(file)
