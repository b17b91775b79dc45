from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BundleError, Busy, Cancelled, FaceNotFound, InputError, OutputError
from hp_trt import Enhancer, Provenance, Runtime, RuntimeConfig, Stages
from hp_trt.enhancer import files, memory, source
from hp_trt.enhancer.networks import lanczos
from hp_trt.media.video import VideoReader
from hp_trt.provenance.mark import InvisibleMark, InvisibleMarkFinder
from hp_trt.provenance.sidecar import read_sidecar
from hp_trt.sample import write_driving
from tests.hp_trt.clips import contents, make_clip
from tests.hp_trt.enhancer.stand_in import ALL, FACE_RGB, StandIn, frame, make_bundle, write_video

ROOT = Path(__file__).parents[3]
FRAMES = 34


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b").path


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory):
    """A bundle with the upscaler alone."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b", ALL[:1], kind="published").path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """34 frames of 95 x 81 with sound, whose face leaves for three frames."""
    pictures = [frame(number, (95, 81), face=number < 3 or 18 < number < 21) for number in range(FRAMES)]
    return write_video(tmp_path_factory.mktemp("video") / "talk.mp4", pictures, sound=True)


@pytest.fixture
def enhancer(bundle):
    with Enhancer(bundle, backend=StandIn()) as opened:
        yield opened


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(files, "_WINDOWS", 1)


def pictures(path):
    return np.stack(list(VideoReader(path)))


def test_a_video_becomes_larger_with_its_times_and_its_sound(enhancer, video, tmp_path):
    made = enhancer.enhance(video, tmp_path / "big.mp4")
    given, result = contents(video), contents(made.out)
    assert (made.frames, made.faces, made.width, made.height) == (FRAMES, 5, 192, 164)
    assert result.size == (192, 164) and result.rate == 25 and len(result.times_s) == FRAMES
    assert result.sound_codec == "aac" and result.sound == given.sound
    assert "29 of 34 frames show no face to restore: they are enlarged alone" in made.notes
    assert [path.name for path in tmp_path.iterdir()] == ["big.mp4"], "and no folder of chunks"
    whole = pictures(made.out).astype(int)
    assert np.abs(whole[10, ::2, ::2] - pictures(video)[10]).mean() < 3
    assert np.abs(whole[1, 80, 50] - FACE_RGB).max() < 25


def test_frames_come_as_arrays_of_files_and_of_arrays(enhancer, video):
    of_file = list(enhancer.frames(video))
    of_arrays = list(enhancer.frames(list(VideoReader(video))))
    assert [one.time_s for one in of_file[:2]] == [0, Fraction(1, 25)] and of_arrays[0].time_s is None
    assert len(of_file) == len(of_arrays) == FRAMES
    assert all((a.image == b.image).all() for a, b in zip(of_file, of_arrays, strict=True))


@pytest.mark.parametrize("scale", [4, 8])
def test_lanczos_does_the_rest_of_a_larger_scale_unless_the_upscaler_repeats(enlarging, scale):
    backend, given = StandIn(), [frame(0)]
    with Enhancer(enlarging, backend=backend) as opened:
        once, again = (next(opened.frames(given, scale=scale, repeat=repeat)) for repeat in (False, True))
    assert once.image.shape == again.image.shape == (80 * scale, 96 * scale, 3)
    assert (again.image == given[0].repeat(scale, axis=0).repeat(scale, axis=1)).all()
    passes = backend.calls_of["enhance_upscaler"]
    assert [shape[2] for shape in passes] == [80, *[80 * 2**k for k in range(scale.bit_length() - 1)]]


def test_a_bundle_without_a_restorer_enlarges_and_says_so(enlarging, video, tmp_path):
    with Enhancer(enlarging, backend=StandIn()) as opened:
        assert not opened.restores and any("no face is restored" in note for note in opened.notes)
        assert opened.enhance(video, tmp_path / "big.mkv").faces == 0
        for stray in ({"face_upsample": True}, {"fidelity": 0.5}, {"released": True}):
            with pytest.raises(InputError, match=f"{next(iter(stray))}: only with a face restorer"):
                opened.enhance(video, tmp_path / "other.mp4", **stray)


def test_of_a_full_bundle_the_restorer_can_be_left_out(bundle, enlarging, video, tmp_path, sealed):
    backend = StandIn()
    with Enhancer(bundle, backend=backend) as opened, Enhancer(enlarging, backend=StandIn()) as alone:
        made = opened.enhance(video, tmp_path / "big.mp4", restore=False)
        without, plain = (list(one.frames(video, **more)) for one, more in ((opened, {"restore": False}), (alone, {})))
    assert made.faces == 0 and not any("face" in note for note in made.notes)
    assert all((a.image == b.image).all() for a, b in zip(without, plain, strict=True))
    assert [name for name, calls in backend.calls_of.items() if calls] == ["enhance_upscaler"]
    recipe = read_sidecar(tmp_path / "big.mp4.json").recipe
    assert recipe["sampling"]["restore"] is False and not recipe.get("locator")


def test_of_a_full_bundle_the_upscaler_can_be_left_out(bundle):
    backend, given = StandIn(), [frame(number, (640, 480)) for number in range(2)]
    with Enhancer(bundle, backend=backend) as opened:
        made = next(opened.frames(given, upscale=False, scale=4))
    assert made.has_face and not backend.calls_of["enhance_upscaler"]
    around = lanczos(given[0], 2560, 1920)
    assert made.image.shape == (1920, 2560, 3) and (made.image[:, 2000:] == around[:, 2000:]).all()
    assert (made.image[480:1440, 16:976] != around[480:1440, 16:976]).any(), "a face is pasted, darker along its rim"


def test_without_a_restorer_the_upscaler_cannot_be_left_out(enlarging):
    with Enhancer(enlarging, backend=StandIn()) as opened, pytest.raises(InputError, match="only with a face restorer"):
        opened.frames([frame(0)], upscale=False)


def test_graphs_are_opened_when_they_are_needed(bundle):
    with Enhancer(bundle, backend=StandIn()) as opened:
        assert not opened.graphs.sessions
        list(opened.frames([frame(0)], restore=False))
        assert list(opened.graphs.sessions) == ["enhance_upscaler"]
        list(opened.frames([frame(0)]))
        assert set(opened.graphs.sessions) == set(ALL)


def test_the_restorers_terms_are_told_only_where_it_works(tmp_path):
    with Enhancer(make_bundle(tmp_path / "b", kind="published").path, backend=StandIn()) as opened:
        assert not any("CodeFormer" in note for note in opened.told(restore=False))
        assert opened.told() == opened.notes and "CodeFormer" in opened.notes[0]


def test_the_restorers_terms_are_told_before_use(tmp_path):
    with Enhancer(make_bundle(tmp_path / "b", kind="published").path, backend=StandIn()) as opened:
        assert "CodeFormer, S-Lab License 1.0: for non-commercial use only" in opened.notes[0]


def test_released_loses_the_last_frame_and_enlarges_to_512(enhancer, video, tmp_path):
    given = [frame(number) for number in range(3)]
    assert [one.image.shape for one in enhancer.frames(given, released=True)] == [(1024, 1228, 3)] * 2
    one = write_video(tmp_path / "one.mp4", given[:1])
    with pytest.raises(InputError, match="one frame, and the released program loses the last one"):
        enhancer.enhance(one, tmp_path / "big.mp4", released=True)
    with pytest.raises(FaceNotFound):
        list(enhancer.frames([frame(0, face=False)] * 3, released=True))
    assert enhancer.enhance(one, tmp_path / "big.mp4").frames == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scale": 3}, "there is no scale 3; there are: 2, 4, 8"),
        ({"scale": 0}, "there is no scale 0"),
        ({"scale": 2.0}, "there is no scale 2.0"),
        ({"fidelity": 1.5}, "from 0 to 1"),
        ({"fidelity": float("nan")}, "from 0 to 1"),
        ({"face_upsample": 1}, "must be True or False"),
        ({"released": True, "repeat": True}, "uses the upscaler once"),
        ({"resume": "no"}, "there is no resume"),
    ],
)
def test_what_cannot_be_is_refused(enhancer, video, tmp_path, options, says):
    with pytest.raises(InputError, match=says):
        enhancer.enhance(video, tmp_path / "big.mp4", **options)
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_or_no_place_is_refused(enhancer, video, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for given, out, error in (
        (tmp_path / "text.mp4", "big.mp4", InputError),
        (tmp_path / "none.mp4", "big.mp4", InputError),
        (video, "big.avi", OutputError),
        (video, "none/big.mp4", OutputError),
    ):
        with pytest.raises(error):
            enhancer.enhance(given, tmp_path / out)
    with pytest.raises(InputError, match="is the video itself"):
        enhancer.enhance(video, video)
    for wrong in ([], 7, [np.zeros((4, 4))], [frame(0), frame(0, (64, 64))]):
        with pytest.raises(InputError):
            list(enhancer.frames(wrong))


def test_8k_is_refused_by_the_memory_it_would_take(enhancer, monkeypatch, tmp_path):
    eight_k = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (4320, 7680, 3))
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 << 30)
    with pytest.raises(InputError, match=r"become 15360 x 8640, which takes about .* GiB of memory, and 8.0 GiB are"):
        enhancer.frames([eight_k])
    with pytest.raises(InputError, match=r"H.264 takes up to 16384 pixels a side"):
        enhancer.frames([eight_k], scale=4)


def test_bundles_of_others_are_refused_on_both_sides(tmp_path, bundle):
    pocket = make_bundle(tmp_path / "pocket", model="hunyuanportrait").path
    with pytest.raises(BundleError, match="is for the model hunyuanportrait, which animates"):
        Enhancer(pocket, backend=StandIn())
    with pytest.raises(BundleError, match="use it with hp-trt enhance"):
        Runtime(bundle)
    with pytest.raises(BundleError, match="has no graph enhance_upscaler"):
        Enhancer(make_bundle(tmp_path / "faces", ALL[1:]).path, backend=StandIn())
    with Enhancer(make_bundle(tmp_path / "three", ALL[:3]).path, backend=StandIn()) as opened:
        assert not opened.restores and "the bundle has no enhance_detector" in opened.notes[-1]
    with pytest.raises(InputError, match="libx264"):
        Enhancer(bundle, RuntimeConfig(encoder="nvenc"), backend=StandIn())


def test_after_close_nothing_goes(bundle, video, tmp_path):
    opened = Enhancer(bundle, backend=StandIn())
    opened.close()
    opened.close()
    with pytest.raises(InputError, match="closed"):
        opened.enhance(video, tmp_path / "big.mp4")


def test_times_that_vary_are_kept(enhancer, tmp_path):
    ticks = [0, 40, 100, 220, 260, 500]
    given = make_clip(tmp_path / "given.mp4", 6, ticks=ticks)
    made = enhancer.enhance(given, tmp_path / "big.mp4")
    assert contents(made.out).times_s == [Fraction(tick, 1000) for tick in ticks]
    assert "no face was found in" in " ".join(made.notes)


def test_a_file_that_is_still_being_written_gives_no_result(enhancer, video, tmp_path, monkeypatch):
    given = tmp_path / "given.mp4"
    given.write_bytes(video.read_bytes())
    frames = source.VideoSource.frames

    def growing(self, first):
        yield from frames(self, first)
        with given.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(source.VideoSource, "frames", growing)
    with pytest.raises(InputError, match="was changed while it was read"):
        enhancer.enhance(given, tmp_path / "big.mp4")
    assert not (tmp_path / "big.mp4").exists()


def test_a_run_that_was_called_off_is_gone_on_with_to_the_same_file(bundle, video, tmp_path, small_chunks):
    whole, out = tmp_path / "whole.mp4", tmp_path / "big.mp4"
    backend, off = StandIn(), threading.Event()

    def listen(event):
        if event.stage == "write" and event.done == 20:
            off.set()

    with Enhancer(bundle, backend=backend) as opened:
        opened.enhance(video, whole)
        with pytest.raises(Cancelled):
            opened.enhance(video, out, resume="restart", stages=Stages(listen, cancel=off))
        assert (tmp_path / "big.mp4.resume" / "000000.json").is_file() and not out.exists()
        with pytest.raises(InputError, match="unfinished run"):
            opened.enhance(video, out)
        with pytest.raises(InputError, match="something else: scale was 2, is 4"):
            opened.enhance(video, out, scale=4, resume="resume")
        backend.calls_of["enhance_detector"].clear()
        made = opened.enhance(video, out, resume="resume")
    assert len(backend.calls_of["enhance_detector"]) == FRAMES - 16 + 4
    assert out.read_bytes() == whole.read_bytes() and (made.frames, made.faces) == (FRAMES, 5)
    assert not (tmp_path / "big.mp4.resume").exists()


KILLED = """
import sys
from pathlib import Path
from hp_trt import Enhancer
from hp_trt.enhancer import files
from hp_trt.provenance.options import NOTHING
from tests.hp_trt.enhancer.stand_in import StandIn
files._WINDOWS = 1
bundle, video, out = map(Path, sys.argv[1:])
with Enhancer(bundle, backend=StandIn(slow_s=0.1)) as opened:
    opened.enhance(video, out, provenance=NOTHING)
"""


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGKILL, id="kill"), pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.heavy)]
)
def test_what_a_kill_leaves_is_gone_on_with_to_the_same_file(bundle, video, tmp_path, small_chunks, how):
    out, store = tmp_path / "big.mp4", tmp_path / "big.mp4.resume"
    process = subprocess.Popen([sys.executable, "-c", KILLED, bundle, video, out], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if (store / "000000.json").is_file():
                break
            time.sleep(0.1)
        with Enhancer(bundle, backend=StandIn()) as opened:
            with pytest.raises(Busy, match="is being written by process"):
                opened.enhance(video, out, resume="resume")
            process.send_signal(how)
            assert process.wait(60) != 0
            assert not out.exists() and store.is_dir()
            made = opened.enhance(video, out, resume="resume")
            opened.enhance(video, tmp_path / "whole.mp4")
    finally:
        process.kill()
        process.wait()
    assert made.frames == FRAMES
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.mp4", "whole.mp4"]


def test_a_full_disk_leaves_no_half_file_and_keeps_what_is_done(bundle, video, tmp_path, small_chunks, monkeypatch):
    from hp_trt.resume import chunk_writer

    write, written = chunk_writer.ChunkWriter.write, []

    def full(self, image):
        written.append(1)
        if len(written) == 25:
            raise OSError(28, "No space left on device")
        write(self, image)

    out = tmp_path / "big.mp4"
    with Enhancer(bundle, backend=StandIn()) as opened:
        monkeypatch.setattr(chunk_writer.ChunkWriter, "write", full)
        with pytest.raises(OutputError, match="go on with --resume"):
            opened.enhance(video, out)
        monkeypatch.setattr(chunk_writer.ChunkWriter, "write", write)
        assert not out.exists() and not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("enhance-")]
        assert opened.enhance(video, out, resume="resume").frames == FRAMES


def test_the_result_carries_where_it_comes_from(bundle, video, tmp_path, sealed):
    with Enhancer(bundle, backend=StandIn()) as opened:
        made = opened.enhance(video, tmp_path / "big.mp4")
    found = read_sidecar(tmp_path / "big.mp4.json")
    assert found.inputs["video"].name == "talk.mp4" and found.mark_id == made.seal.mark_id
    assert found.recipe["sampling"]["scale"] == 2 and found.recipe["locator"] == "retinaface"


@pytest.mark.heavy
def test_a_marked_video_keeps_its_mark_which_another_would_hide(enlarging, tmp_path, sealed):
    write_driving(tmp_path / "drawn.mp4", seed=3, frames=16)
    pictures = list(VideoReader(tmp_path / "drawn.mp4"))
    given = write_video(tmp_path / "given.mp4", [InvisibleMark(0x1234ABCD).embed(one) for one in pictures])
    with Enhancer(enlarging, backend=StandIn()) as opened:
        made = opened.enhance(given, tmp_path / "big.mp4", provenance=Provenance(credentials=False))
        other = opened.enhance(given, tmp_path / "other.mp4", provenance=Provenance(credentials=False, mark_id=7))
    assert (made.seal.mark_id, other.seal.mark_id) == (0x1234ABCD, 7)
    assert InvisibleMarkFinder().find(VideoReader(made.out)).payload == 0x1234ABCD
