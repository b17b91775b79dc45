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
