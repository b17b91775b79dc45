"""Profiles are found by name, made from others, and refused in words."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.hunyuanportrait.profiles import find_profile, own_profiles
from hp_trt.profiles import require_live
from runtime.live_windows import LiveWindows


def write(folder, text: str):
    file = folder / "mine.toml"
    file.write_text(text)
    return file


def test_a_models_profiles_say_what_they_are():
    assert {"exact", "balanced", "live"} <= set(own_profiles())
    assert all(profile.about for profile in own_profiles().values())


def test_a_users_file_changes_what_it_names_of_a_profile_and_no_more(tmp_path):
    file = write(tmp_path, '[mine]\nbase = "live"\nsteps = 2\nwindow = 12\nguidance_interval = [0.5, 50.0]\n')
    mine, live = find_profile(file), find_profile("live")
    assert (mine.name, mine.about) == ("mine", "")
    assert mine.windows == LiveWindows(size=12, overlap=live.windows.overlap, lead_in=live.windows.lead_in)
    assert dict(mine.sampling) == {**live.sampling, "steps": 2, "guidance_interval": [0.5, 50.0]}
    assert (mine.denoiser, mine.decoder) == (live.denoiser, live.decoder)


def test_a_file_may_hold_several_that_build_on_each_other(tmp_path):
    file = write(tmp_path, '[a]\nsteps = 4\n[b]\nbase = "a"\ndecoder = "tiny"\n')
    both = find_profile(f"{file}:b")
    assert (dict(both.sampling), both.decoder) == ({"steps": 4}, "tiny")
    with pytest.raises(InputError, match=r"mine\.toml has the profiles a, b; choose one: .*mine\.toml:a"):
        find_profile(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[p]\nstep = 3\n", "profile p has no key step; did you mean steps?"),
        ("[p]\nsteps = 0\n", "profile p: steps needs a whole number of at least 1, got 0"),
        ('[p]\nmode = "life"\n', "profile p: mode is one of clip, live, got 'life'"),
        ('[p]\ndecoder = "small"\n', "profile p: decoder is one of full, tiny, tiny-or-full, got 'small'"),
        ('[p]\nprecision = "fp16"\n', "profile p: precision is one of exported, bf16, got 'fp16'"),
        ('[p]\nprecision = "bf16"\nquantize = "int8"\n', "profile p: products are in bf16 or in 8 bits, not in both"),
        ('[p]\nschedule = "ay"\n', "profile p: there is no schedule 'ay'; did you mean ays?"),
        ('[p]\nbase = "liv"\n', "profile p: its base 'liv' does not exist; did you mean live?"),
        ('[p]\nbase = "q"\n[q]\nbase = "p"\n', "its base '.' leads back to itself"),
        (
            '[p]\nbase = "live"\noverlap = 8\n',
            "the live overlap must be shorter than the window, got 8 of 8",
        ),
        ('[p]\nbase = "live"\nskip_last = 1\n', "profile p: skip_last 1 of 1 steps leaves none to execute"),
        ("[p]\nwindow = 8\n", "profile p: only mode live has window; in mode clip the window is the bundle's"),
        ("steps = 3\n", "has steps outside a table; begin it with"),
        ("", "holds no profile"),
        ("[p\n", "is no TOML"),
    ],
)
def test_what_cannot_be_a_profile_is_refused_in_words(tmp_path, text, says):
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        find_profile(f"{write(tmp_path, text)}:p" if text.count("[") > 1 else write(tmp_path, text))


def test_a_name_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"there is no profile 'balance'; did you mean balanced\?"):
        find_profile("balance")
    with pytest.raises(InputError, match=r"none\.toml cannot be read \(No such file or directory\)"):
        find_profile(tmp_path / "none.toml")
    file = write(tmp_path, "[alone]\nsteps = 2\n")
    with pytest.raises(InputError, match=r"there is no profile in .*mine\.toml: 'alon'; did you mean alone\?"):
        find_profile(f"{file}:alon")


def test_a_profile_for_whole_clips_is_refused_where_frames_come_live():
    assert require_live(find_profile("live")).name == "live"
    with pytest.raises(InputError, match="the profile exact is for whole clips, live needs one whose windows"):
        require_live(find_profile("exact"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[p]\nbase = [1]\n", "profile p: base is the name of another profile, got [1]"),
        ("[p]\nbase = 1979-05-27\n", "profile p: base is the name of another profile, got datetime.date(1979"),
        ("[p]\nschedule = []\n", "profile p: there is no schedule []; there are: karras"),
        ("[p]\nmode = ['clip']\n", "profile p: mode is one of clip, live, got a list"),
        ("[p]\nabout = 7\n", "profile p: about must be text, got 7"),
        (f"[p]\nsteps = {'9' * 400}\n", "profile p: steps can be at most 1000, got a number of more than 60 digits"),
        (f"[p]\nsteps = {'9' * 5000}\n", "mine.toml is no TOML: Exceeds the limit (4300 digits)"),
        (f"[p]\nguidance_motion = [{'9' * 400}, 1]\n", "profile p: guidance_motion needs two numbers"),
        ("[p]\nguidance_motion = [inf, nan]\n", "profile p: guidance_motion needs two numbers"),
        ("[p]\nguidance_interval = [[], 1]\n", "profile p: guidance_interval needs two noise levels"),
        ('[p]\nbase = "live"\nwindow = "8"\n', "profile p: window must be a whole number of 0 to 10000, got '8'"),
        ('[p]\nbase = "live"\nlead_in = 1e9\n', "profile p: lead_in must be a whole number of 0 to 10000"),
        ('[p]\nbase = "live"\noverlap = true\n', "profile p: overlap must be a whole number of 0 to 10000, got True"),
        ("[p]\nsteps = 1979-05-27T07:32:00Z\n", "profile p: steps needs a whole number of at least 1"),
        ("[p]\ndeep_every = true\n", "profile p: deep_every needs a whole number"),
        (f"[p]\nsteps = {'[' * 5000}", "mine.toml is no TOML: it is nested too deeply"),
        (f"[p]\nx.{'y.' * 70}z = 1\n", "mine.toml is no TOML: it is nested more than 64 deep"),
        ("".join(f"k{n} = {n}\n" for n in range(1000)), "k0, k1, k2, k3, k4 and 995 more outside a table"),
        ("".join(f"[p{n}]\n" for n in range(1000)), "holds 1000 profiles, at most 100 are read"),
        ("#" * 300_000, "it has 300000 bytes, at most 262144 are read"),
    ],
)
def test_values_of_other_kinds_and_sizes_are_refused_with_their_key(tmp_path, text, says):
    with pytest.raises(InputError) as caught:
        find_profile(write(tmp_path, text))
    assert says in str(caught.value)


def test_a_file_that_is_no_utf8_is_refused_and_a_mark_of_byte_order_is_not(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes('[p]\nabout = "für"\n'.encode("latin-1"))
    with pytest.raises(InputError, match="is no TOML: 'utf-8' codec can't decode byte 0xfc"):
        find_profile(file)
    file.write_bytes(b"\xef\xbb\xbf[p]\nsteps = 2\n")
    assert find_profile(file).sampling == {"steps": 2}


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".toml", "no\0name.toml", "\udcff.toml"])
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(InputError):
        find_profile(name)
