"""Speech and portraits as files: the same clip, bit for bit; or a refusal that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.hallo2.motion_file import KeptSpeech
from hp_trt.hallo2.portrait_encoder import encoded
from hp_trt.hallo2.portrait_file import portrait_of_file
from tests.fakes import FakeBackend
from tests.hp_trt.clips import contents
from tests.hp_trt.encoded.made import forged, shipped_bundle, with_other_graph

SPEAKS = "shipped:talk_pocket"


def kept(path, bundle=None):
    return KeptSpeech(bundle or shipped_bundle(SPEAKS), EncodedFile(Path(path), "motion"))


def portrait(path, bundle=None):
    return portrait_of_file(FakeBackend(), bundle or shipped_bundle(SPEAKS), EncodedFile(Path(path), "portrait"))


def test_a_clip_of_the_files_is_the_clip_of_sound_and_picture(made_talk, talk_runtime, tmp_path):
    for name, who, audio in (
        ("sound", made_talk.portrait, made_talk.sound),
        ("file", made_talk.portrait_file, made_talk.motion),
    ):
        made = talk_runtime.animate(who, audio=audio, out=tmp_path / f"{name}.mp4", seed=3)
        assert made.frames == 6
    assert (tmp_path / "file.mp4").read_bytes() == (tmp_path / "sound.mp4").read_bytes()
    assert contents(tmp_path / "file.mp4").sound


def test_the_portrait_of_the_file_is_that_of_the_picture(made_talk, talk_runtime):
    picture, file = (talk_runtime.portrait(path) for path in (made_talk.portrait, made_talk.portrait_file))
    one, other = (encoded(made).conditions for made in (picture, file))
    tensors = one.of_denoiser()
    assert tensors.keys() == other.of_denoiser().keys()
    for name, buffer in other.of_denoiser().items():
        pair = (talk_runtime.backend.download(made) for made in (buffer, tensors[name]))
        np.testing.assert_array_equal(*pair, err_msg=name)
    for name in ("picture", "face_region"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (file.key, one.motion_frames) == (picture.key, other.motion_frames)


def test_a_video_that_was_left_goes_on_in_the_middle_of_the_file(made_talk):
    speech = kept(made_talk.motion)
    tokens = speech.tokens(FakeBackend(), first_clip=1)
    (last,) = [made.array for made in tokens] if speech.clips == 2 else [None]
    if last is not None:
        np.testing.assert_array_equal(last, speech.of_clip(1))
    assert sum(speech.saved(clip) for clip in range(speech.clips)) == speech.frames == 6


def test_a_file_whose_sound_was_cut_otherwise_is_refused(made_talk):
    with pytest.raises(InputError, match=r"was not cut as released, and is to be \(released_plan, --released-plan\)"):
        kept(made_talk.motion).check_plan(True)


@pytest.mark.parametrize("graph", ["speech_encoder", "audio_tokens"])
def test_motion_of_another_graph_is_refused_with_both_keys(made_talk, graph):
    with pytest.raises(InputError, match=f"by a graph {graph} with the key [0-9a-f]{{12}}, .* has ffffffffffff"):
        kept(made_talk.motion, with_other_graph(shipped_bundle(SPEAKS), graph))


@pytest.mark.parametrize("graph", ["talk_identity", "talk_vae_encoder", "reference", "bank_kv"])
def test_a_portrait_of_another_graph_is_refused_with_both_keys(made_talk, graph):
    with pytest.raises(InputError, match=f"by a graph {graph} with the key [0-9a-f]{{12}}, .* has ffffffffffff"):
        portrait(made_talk.portrait_file, with_other_graph(shipped_bundle(SPEAKS), graph))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"driver": "video"}, "is the motion of a driving video, and this bundle's portraits are moved by speech"),
        ({"made_for": {"frames_of_a_clip": 3}}, "was made for frames_of_a_clip 3"),
        ({"frames": 0}, "frames must be a whole number"),
        ({"frames": 10**6}, "frames must be a whole number"),
        ({"begins_s": "1/0"}, "is no fraction"),
        ({"released_plan": 1}, "must be true or false"),
        ({"sound": {}}, "time_base is missing"),
    ],
)
def test_a_header_that_is_no_speechs_is_refused(made_talk, tmp_path, said, told):
    with pytest.raises(InputError, match=told):
        kept(forged(made_talk.motion, tmp_path / "x", about=lambda about: about["of"].update(said)))


def test_tokens_that_are_no_whole_clips_are_refused(made_talk, tmp_path):
    path = forged(made_talk.motion, tmp_path / "x", tensors=lambda t: t.update(tokens=t["tokens"][1:]))
    with pytest.raises(InputError, match="needed are whole clips of"):
        kept(path)
    path = forged(made_talk.motion, tmp_path / "x", tensors=lambda t: t.update(tokens=np.repeat(t["tokens"], 3, 0)))
    with pytest.raises(InputError, match="of which 6 are of the sound"):
        kept(path)


@pytest.mark.parametrize("name", ["face_region", "mask_0", "key_0", "image_tokens"])
def test_tensors_that_are_no_portrait_are_refused(made_talk, tmp_path, name):
    def nan(tensors):
        tensors[name].flat[0] = np.nan

    with pytest.raises(InputError, match=f"{name} holds NaN or infinity"):
        portrait(forged(made_talk.portrait_file, tmp_path / "x", tensors=nan))
    with pytest.raises(InputError, match=f"it has no {name}"):
        portrait(forged(made_talk.portrait_file, tmp_path / "x", tensors=lambda tensors: tensors.pop(name)))


def test_samples_are_not_kept_and_a_motion_file_is_not_encoded_again(made_talk, talk_runtime, tmp_path):
    with pytest.raises(InputError, match="samples cannot be encoded into a motion file"):
        talk_runtime.write_motion(tmp_path / "x.safetensors", audio=(np.zeros(16000, np.float32), 16000))
    with pytest.raises(InputError, match="is a motion file; give the sound itself"):
        talk_runtime.write_motion(tmp_path / "x.safetensors", audio=made_talk.motion)
    with pytest.raises(InputError, match="portable: only for a portrait that a driving video moves"):
        talk_runtime.write_motion(tmp_path / "x.safetensors", audio=made_talk.sound, portable=True)


def test_files_of_the_other_model_are_refused(made_talk, made_files, talk_runtime, pocket_runtime, tmp_path):
    with pytest.raises(InputError, match=r"driver.motion.* is the motion of a driving video"):
        talk_runtime.talk(made_talk.portrait_file, made_files.motion)
    with pytest.raises(InputError, match=r"speech.motion.* is the motion of a sound"):
        pocket_runtime.frames(made_files.portrait_file, made_talk.motion)
    with pytest.raises(InputError, match=r"was encoded for 'hallo2', .* is for hunyuanportrait; encode again with"):
        pocket_runtime.portrait(made_talk.portrait_file)
