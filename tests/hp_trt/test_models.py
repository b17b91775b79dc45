"""A second model, in thirty lines over fakes, animates and streams through the same Runtime, without another change."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import BundleError, Cancelled, InputError
from engines.gpu import NoGpu
from hp_trt import Runtime, RuntimeConfig
from hp_trt.media.images import load_image
from hp_trt.media.portrait import Portrait
from hp_trt.model import Clip, Driver, Model, SamplingOptions
from hp_trt.models import MODELS, find_model
from hp_trt.profiles import Profile, Profiles
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from tests.engines.bundles import make_bundle
from tests.fakes import FakeBackend
from tests.hp_trt.clips import contents, make_clip
from tests.hp_trt.live.fake_stream import FakeStream, picture, portrait
from tests.hp_trt.media.nvcodec_stand_in import stand_in

PROFILES = """
[exact]
[live]
mode = "live"
window = 4
overlap = 0
lead_in = 0
"""


class Brighter:
    """A model: frames are the driving pictures, brighter by `steps`. It runs no graph."""

    driver = "video"
    options = frozenset({"steps", "seed"})
    profiles: Profiles
    streamed = frozenset()
    in_bf16 = frozenset()
    beside = frozenset()
    added_by = {}  # noqa: RUF012 - as the protocol has it

    def __init__(self, bundle, config, backend, graphs):
        self.backend = backend
        self.streams = []

    @staticmethod
    def check_bundle(bundle):
        pass

    def roles(self, profile):
        return {}

    @staticmethod
    def check_sampling(bundle, profile):
        if strange := set(profile.sampling) - {"steps", "seed"}:
            raise InputError(f"{', '.join(strange)} are no options here")

    @staticmethod
    def seed(bundle, profile):
        return profile.sampling.get("seed", 3)

    def notes(self, profile):
        return ("brighter",)

    def portrait(self, image, locator, stages):
        path = None if isinstance(image, np.ndarray) else Path(image)
        return Portrait(image=load_image(image), path=path, notes=(), paste=lambda crop: crop, encoded=7)

    def check_portrait(self, portrait):
        if portrait.encoded != 7:
            raise InputError("this portrait is no Brighter's")

    def clip(self, portrait, driving, profile, stages):
        more = np.uint8(profile.sampling.get("steps", 0) + portrait.encoded)
        timed = enumerate(driving.frames.timed(stages))
        return Clip(
            frames=((n, time_s, image + more) for n, (image, time_s) in timed), notes=lambda: driving.frames.notes
        )

    def stream(self, portrait, locator, profile, after=None):
        self.streams.append(FakeStream(size=profile.windows.size, shown=portrait.encoded))
        return self.streams[-1]


def of_model(name, bundle):
    return replace(bundle, manifest=replace(bundle.manifest, model=name))


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a bundle of the second model with a profile."""
    (tmp_path / "profiles.toml").write_text(PROFILES)
    Brighter.profiles = Profiles(own_file=tmp_path / "profiles.toml", sampling=("steps",), check=lambda profile: None)
    monkeypatch.setitem(MODELS, "brighter", f"{__name__}:Brighter")
    bundle = of_model("brighter", make_bundle(tmp_path / "bundle", any_graph=b""))

    def open_runtime(profile="exact", config=None, **options):
        return Runtime(bundle, RuntimeConfig(profile=profile, **(config or {})), backend=FakeBackend(), **options)

    return open_runtime


@pytest.mark.parametrize("profile", ["exact", "live"])
def test_a_second_model_animates_arrays(opened, profile):
    with opened(profile) as runtime:
        made = list(runtime.frames(picture(0), [picture(level) for level in range(50, 60)]))
    assert [frame.index for frame in made] == list(range(10))
    assert [int(frame.full().max()) for frame in made] == list(range(57, 67))


def test_a_second_model_animates_a_file(opened, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 12)
    with opened() as runtime:
        done = runtime.animate(np.zeros((48, 64, 3), np.uint8), driving, tmp_path / "o.mp4", steps=2)
    assert done.frames == 12 and "brighter" in done.notes
    assert contents(tmp_path / "o.mp4").times_s == contents(driving).times_s


def test_a_file_is_decoded_and_a_clip_encoded_by_the_gpu_that_is_asked_for(opened, tmp_path, monkeypatch):
    """The frames are the CPU's; the library is a stand-in."""
    library, driving = stand_in(monkeypatch), make_clip(tmp_path / "d.mp4", 12, audio="aac")
    with opened() as plain, opened(config={"decoder": "nvdec", "encoder": "nvenc"}) as runtime:
        for one, out in ((plain, "p.mp4"), (runtime, "o.mp4")):
            assert one.animate(np.zeros((48, 64, 3), np.uint8), driving, tmp_path / out, steps=2).frames == 12
            if one is plain:
                assert library.made == []
        assert len(library.made) >= 3  # a decoder, a trial and an encoder
        for frame, other in zip(*(list(r.frames(picture(0), driving)) for r in (plain, runtime)), strict=True):
            assert np.array_equal(frame.full(), other.full()) and frame.time_s == other.time_s
        with pytest.raises(InputError, match=r"is encoded in parts that libx264 makes .*; leave the enc"):
            runtime.animate(picture(0), driving, tmp_path / "r.mp4", resume="resume")
    ours, theirs = contents(tmp_path / "o.mp4"), contents(tmp_path / "p.mp4")
    assert (ours.times_s, ours.sound, ours.size) == (theirs.times_s, theirs.sound, theirs.size)


@pytest.mark.parametrize("asked", [{"decoder": "nvdec"}, {"encoder": "nvenc"}])
def test_without_a_gpu_a_runtime_that_asks_for_its_coders_does_not_open(opened, monkeypatch, asked):
    stand_in(monkeypatch, gpu=NoGpu(found="no usable device", fix="install the NVIDIA driver"))
    with pytest.raises(InputError, match="needs an NVIDIA GPU, found: no usable device; install the NVIDIA driver, or"):
        opened(config=asked)


def test_a_second_model_streams(opened):
    with opened() as runtime, runtime.live(picture(0)) as session:
        for number in range(8):
            session.push(picture(100), number)
        session.close()
        assert [int(frame.crop.max()) for frame in session] == [107] * 8


def test_a_stream_is_warmed_up_before_frames_come_and_not_where_a_clip_waits_for_it(opened):
    with opened("live") as runtime:
        list(runtime.frames(picture(0), [picture(100)] * 5))
        with runtime.live(picture(0)):
            pass
        assert [stream.warmed for stream in runtime.model.streams] == [0, 1]


def test_what_stops_a_clip_of_a_live_profile_ends_its_threads_at_once(opened, tmp_path):
    driving, before = make_clip(tmp_path / "d.mp4", 50), set(threading.enumerate())

    def stop(event):
        if event.stage == "write":
            raise OSError("a button")

    with opened("live", on_event=stop) as runtime:
        with pytest.raises(OSError, match="a button") as caught:
            runtime.animate(np.zeros((48, 64, 3), np.uint8), driving, tmp_path / "o.mp4")
        assert set(threading.enumerate()) == before, "while the error, and all that it holds, is still there"
        frames = runtime.frames(picture(0), [picture(100)] * 50)
        assert next(frames).index == 0 and set(threading.enumerate()) > before
        frames.close()
        assert set(threading.enumerate()) == before
    del caught
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["d.mp4"]


@pytest.mark.parametrize(
    ("profile", "stage"),
    [("exact", "read"), ("exact", "write"), ("live", "motion"), ("live", "denoise"), ("live", "write")],
)
def test_a_clip_is_called_off_alone_and_leaves_no_file_no_thread_and_a_runtime_that_goes_on(
    opened, tmp_path, profile, stage
):
    driving, before = make_clip(tmp_path / "d.mp4", 30), set(threading.enumerate())
    stop, heard = threading.Event(), []

    def listen(event):
        heard.append(event.stage)
        if event.stage == stage and event.kind == "unit":
            stop.set()

    with opened(profile, on_event=lambda event: heard.append("another's")) as runtime:
        who = np.zeros((48, 64, 3), np.uint8)
        with pytest.raises(Cancelled):
            runtime.animate(who, driving, tmp_path / "o.mp4", stages=Stages(listen, cancel=stop))
        assert stage in heard and "another's" not in heard
        assert set(threading.enumerate()) == before
        assert [path.name for path in tmp_path.glob("*.mp4*")] == ["d.mp4"]
        frames = runtime.frames(who, [picture(100)] * 3, stages=Stages(cancel=stop))
        with pytest.raises(Cancelled):
            list(frames)
        assert runtime.animate(who, driving, tmp_path / "o.mp4").frames == 30


class Unread(list):
    """Driving frames that nobody may look at."""

    def __iter__(self):
        raise AssertionError("the driving frames were read")


@pytest.mark.parametrize("profile", ["exact", "live"])
def test_a_portrait_of_another_model_is_refused_before_the_driving_frames_are_read(opened, profile):
    with opened(profile) as runtime, pytest.raises(InputError, match="is no Brighter's"):
        next(runtime.frames(portrait(3), Unread([picture(1)])))


def test_a_session_refuses_a_portrait_of_another_model_where_it_is_asked_and_goes_on(opened):
    with opened() as runtime:
        with pytest.raises(InputError, match="is no Brighter's"):
            runtime.live(portrait(3))
        with runtime.live(picture(0)) as session:
            with pytest.raises(InputError, match="is no Brighter's"):
                session.change(portrait=portrait(3))
            for number in range(8):
                session.push(picture(100), number)
            session.close()
            assert [int(frame.crop.max()) for frame in session] == [107] * 8


def test_a_second_model_says_which_profiles_and_options_there_are(opened):
    with pytest.raises(InputError, match="there is no profile 'balanced'; there are: exact, live"):
        opened("balanced")
    with opened() as runtime, pytest.raises(InputError, match=r"^shift: no sampling option of brighter"):
        next(runtime.frames(picture(0), [picture(1)], shift=3))


def test_what_is_wrong_with_a_profile_made_in_code_is_told_with_its_name(opened):
    windows = LiveWindows(size=4, overlap=0, lead_in=0)
    live = Profile(name="mine", mode="live", windows=windows, sampling={"shift": 3})
    with pytest.raises(InputError, match=r"^profile mine: shift are no options here"):
        opened(Profile(name="mine", sampling={"shift": 3}))
    with opened() as runtime, pytest.raises(InputError, match=r"^profile mine: shift are no options here"):
        runtime.live(picture(0), profile=live)


def test_a_wrong_profile_is_told_before_the_files_of_a_bundle_are_hashed(tmp_path):
    bundle = make_bundle(tmp_path, any_graph=b"graph")
    bundle.model_path("any_graph").write_bytes(b"hparg")  # as long, and another
    with pytest.raises(InputError, match="there is no profile 'fast'"):
        Runtime(tmp_path, RuntimeConfig(profile="fast"))
    with pytest.raises(BundleError, match="was changed: sha256"):
        Bundle.open(tmp_path)


def test_the_model_of_a_bundle_is_found_by_its_name(tmp_path):
    bundle = make_bundle(tmp_path, any_graph=b"")
    assert find_model(bundle).__name__ == "HunyuanPortrait"
    with pytest.raises(BundleError, match="is for the model newer, this version has: hunyuanportrait, hallo2; use the"):
        find_model(of_model("newer", bundle))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_what_an_application_asks_of_one(name):
    module, _, model = MODELS[name].partition(":")
    found = getattr(import_module(module), model)
    asked = {*Model.__annotations__, *(member for member in vars(Model) if not member.startswith("_"))}
    assert asked >= {"driver", "portrait", "clip", "stream"} and not [a for a in asked if not hasattr(found, a)]
    assert found.driver in get_args(Driver)


def test_every_option_that_a_caller_may_set_is_some_models():
    found = (MODELS[name].partition(":") for name in MODELS)
    options = [getattr(import_module(module), model).options for module, _, model in found]
    assert set(SamplingOptions.__annotations__) == frozenset().union(*options)
