"""Whatever an application hands in: a result, or one of our own errors, never another exception.

Every public callable is called with each hostile value for each of its parameters, the others as they should be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import numpy as np
import pytest

import hp_trt
from hp_trt import (
    Enhancer,
    HpTrtError,
    InputError,
    LiveSession,
    Profile,
    Provenance,
    Runtime,
    RuntimeConfig,
    SamplingOptions,
    Stages,
)
from hp_trt.faces.face import FaceLocator
from hp_trt.measure.evaluation.drawn import known_faces
from hp_trt.provenance.run_seal import prepare as PREPARE  # the real one, whatever the session has in its place
from procedural.clip import clip
from runtime.live_windows import LiveWindows
from tests.hp_trt.interface.hostile import PICTURES, VALUES

# We make these, for applications to read: what they are made of is not checked.
READ_ONLY = {
    "Animation",
    "Enhanced",
    "EnhancedFrame",
    "Event",
    "Frame",
    "LiveFrame",
    "LiveStats",
    "Portrait",
    "Written",
}
# Its members are; the class itself is made by Runtime.live.
MADE_BY_US = {"LiveSession"}
QUICK = {"steps": 1, "pad_frames": 0}


@dataclass(frozen=True)
class Drawn:
    """Four drawn driving pictures, of which the first is the portrait, and where the faces are."""

    images: list[np.ndarray]
    faces: FaceLocator


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    made = clip(3, frames=4, px=96)
    return Drawn(images=made.frames(), faces=known_faces(made))


@pytest.fixture(scope="module")
def live_profile() -> Profile:
    """One whose windows the tiny bundle takes."""
    return Profile(name="short", mode="live", windows=LiveWindows(size=2, overlap=1, lead_in=0), sampling={"steps": 1})


@pytest.fixture(scope="module")
def talking(talk_bundle) -> Iterator[Runtime]:
    with Runtime(talk_bundle, RuntimeConfig(threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def runtime(live_bundle) -> Iterator[Runtime]:
    with Runtime(live_bundle, RuntimeConfig(threads=1)) as opened:
        yield opened


def wrong(call: Callable[..., Any], parameters: Mapping[str, Any], values: Mapping[str, Any] = VALUES) -> list[str]:
    """What raises anything but ours. `parameters`: as they should be; each in turn is each of `values`."""
    found = []
    for name in parameters:
        for what, value in values.items():
            try:
                call(**{**parameters, name: value})
            except HpTrtError as error:
                if not str(error) or str(error).count("\n") > 2:
                    found.append(f"{name} = {what}: no message, or a long one: {error}")
            except Exception as error:
                found.append(f"{name} = {what}: {type(error).__name__}: {error}")
    return found


def test_the_cases_cover_every_parameter_of_every_public_callable():
    """A new name, or a new parameter, needs a case here."""
    tried = {name: found for name, found in globals().items() if name.startswith("test_")}
    text = "".join(inspect.getsource(found) for found in tried.values())
    for name in set(hp_trt.__all__) - READ_ONLY - {"__version__"}:
        assert name in text or issubclass(getattr(hp_trt, name), HpTrtError), name
    methods = (Runtime.portrait, Runtime.animate, Runtime.talk, Runtime.frames, Runtime.live)
    for method in (*methods, Runtime.write_motion, Runtime.write_portrait, LiveSession.push, LiveSession.pull):
        for parameter in set(inspect.signature(method).parameters) - {"self", "sampling"}:
            assert f'"{parameter}"' in text, f"{method.__qualname__}: {parameter}"


@pytest.mark.parametrize("name", sorted(n for n in hp_trt.__all__ if n.endswith("Error") or n == "LiveTimeout"))
def test_an_error_takes_whatever_it_is_told(name):
    assert not wrong(getattr(hp_trt, name), {"message": "what was found"})


def test_an_enhancer_and_its_methods_of_wrong_values_are_refused_in_our_words(drawn, tmp_path):
    bundle = "shipped:enhancer_pocket"
    options = {"scale": 2, "face_upsample": False, "fidelity": None, "repeat": False, "released": False}
    with Enhancer(bundle) as enhancer:

        def frames(**given):
            enhancer.frames(**given).close()

        found = wrong(frames, {"video": drawn.images[:1], **options, "stages": None})
        enhance = partial(enhancer.enhance, drawn.images[0])  # no file: nothing is made of what is right
        found += wrong(enhance, {"out": tmp_path / "out.mp4", **options, "resume": "new", "provenance": None})
    assert not found
    assert not wrong(lambda **given: Enhancer(**given).close(), {"bundle": bundle, "config": None, "on_event": None})


def test_a_configuration_of_wrong_values_is_refused_where_it_is_made_or_where_it_is_opened(live_bundle):
    right = {field: getattr(RuntimeConfig(), field) for field in RuntimeConfig.__dataclass_fields__}
    for changed in ({}, {"family": "tensorrt"}, {"locator": "yunet"}):
        assert not wrong(lambda changed=changed, **options: RuntimeConfig(**{**options, **changed}), right)
    opened: list[tuple[str, Any]] = []
    for field in ("profile", "arcface", "vocals"):
        for value in VALUES.values():
            with suppress(HpTrtError):
                RuntimeConfig(**{field: value})
                opened.append((field, value))
    failed = []
    for field, value in opened:
        try:
            Runtime(live_bundle, RuntimeConfig(**{field: value})).close()
        except HpTrtError:
            continue
        except Exception as error:
            failed.append(f"{field} = {value!r}: {type(error).__name__}: {error}")
    assert not failed


def test_numbers_of_numpy_are_as_good_as_pythons():
    config = RuntimeConfig(threads=np.int64(2), overlap_decode=np.False_, max_frames=np.uint16(7))
    assert (config.threads, config.overlap_decode, config.max_frames) == (2, False, 7)
    assert type(config.threads) is int and type(config.overlap_decode) is bool


def test_a_profile_of_wrong_values_is_refused(live_profile, runtime):
    right = {field: getattr(live_profile, field) for field in Profile.__dataclass_fields__}
    assert not wrong(Profile, right)
    sampled = dict.fromkeys(get_type_hints(SamplingOptions))
    assert not wrong(lambda **options: runtime._inputs.profile(Profile(name="mine", sampling=options), {}), sampled)
    assert not wrong(LiveWindows, {"size": 4, "overlap": 1, "lead_in": 0})


def test_a_runtime_of_wrong_values_is_refused(live_bundle):
    def opened(**options: Any) -> None:
        Runtime(options.pop("bundle"), options.pop("config"), **options).close()

    right = {"bundle": live_bundle, "config": None, "on_event": None, "settle_stages": False, "backend": None}
    assert set(inspect.signature(Runtime).parameters) == set(right)
    few = {what: VALUES[what] for what in VALUES if what not in PICTURES and what not in ("None", "a class")}
    assert not wrong(opened, right, few)


def test_stages_of_wrong_values_are_refused():
    right = {"listener": None, "settle": None, "most_spans": None, "cancel": None}
    assert not wrong(Stages, right, VALUES)


def test_a_portrait_of_wrong_values_is_refused(runtime, drawn):
    right = {"image": drawn.images[0], "landmarks": drawn.faces, "stages": None}
    assert not wrong(runtime.portrait, right)


def test_frames_of_wrong_values_are_refused(runtime, drawn, live_profile):
    portrait = runtime.portrait(drawn.images[0], landmarks=drawn.faces)

    def first(**options: Any) -> None:
        frames = runtime.frames(**options)
        next(frames, None)
        frames.close()

    right = {"portrait": portrait, "driving": drawn.images, "landmarks": drawn.faces, "stages": None}
    options = {**dict.fromkeys(get_type_hints(SamplingOptions)), **QUICK}
    assert not wrong(lambda **values: first(**{**options, **values}), right)
    assert not wrong(lambda **values: first(**{**right, **QUICK, **values}), {**options})
    assert not wrong(lambda image: first(**{**right, **QUICK, "driving": [drawn.images[0], image]}), {"image": None})


def test_live_frames_of_wrong_values_are_refused(runtime, drawn, live_profile):
    portrait = runtime.portrait(drawn.images[0], landmarks=drawn.faces)
    right = {"portrait": portrait, "profile": live_profile, "policy": "block", "queue_in": None, "queue_out": None}
    right |= {"landmarks": drawn.faces, "seed": None, "mood": None, "stages": None}
    assert not wrong(lambda **options: runtime.live(**options).abort(), right)
    with runtime.live(**right) as session:
        assert not wrong(session.push, {"item": drawn.images[0], "pts_s": None}, PICTURES)
    for what, value in VALUES.items():
        with runtime.live(**right) as session:
            assert not wrong(session.push, {"item": drawn.images[0], "pts_s": 0}, {what: value})
            assert not wrong(session.change, {"portrait": None, "profile": None}, {what: value})
            session.close()  # then nothing is waited for, however long
            assert not wrong(session.pull, {"timeout_s": 0}, {what: value})


def test_a_provenance_of_wrong_values_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    right = {field: getattr(Provenance(), field) for field in Provenance.__dataclass_fields__}
    assert not wrong(Provenance, right)
    assert not wrong(Provenance, {"sign_chain": "chain.pem", "sign_key": "key.pem"})
    assert not wrong(Provenance, {"sign_chain": "chain.pem", "sign": print})
    kept = {"outputs": {"the result": tmp_path / "o.mp4"}, "inputs": {}}
    assert not wrong(lambda asked: PREPARE(asked, **kept), {"asked": None})
    for chain in VALUES.values():
        with suppress(HpTrtError):
            asked = Provenance(sign_chain=chain, sign_key=chain)
            assert not wrong(lambda asked: PREPARE(asked, **kept), {"asked": asked}, {"a file": asked})


def test_files_of_wrong_values_are_refused(runtime, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some names are good ones
    right: dict[str, Any] = {"portrait": drawn.images[0], "driving": tmp_path / "none.mp4", "out": tmp_path / "out.mp4"}
    right |= {"crop_out": None, "landmarks": drawn.faces, "portrait_landmarks": drawn.faces, "stages": None}
    right |= {"provenance": None}
    assert not wrong(runtime.animate, right)


def test_files_to_encode_of_wrong_values_are_refused(runtime, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    right: dict[str, Any] = {"out": tmp_path / "m.safetensors", "driving": tmp_path / "none.mp4", "audio": None}
    right |= {"landmarks": drawn.faces, "released_plan": False, "portable": False, "stages": None}
    assert not wrong(runtime.write_motion, right)
    right = {"out": tmp_path / "p.safetensors", "portrait": tmp_path / "none.png", "landmarks": None, "stages": None}
    assert not wrong(runtime.write_portrait, right)


SOUNDS: dict[str, Any] = {
    "no samples": (np.zeros(0), 16_000),
    "no channels": (np.zeros((9, 0)), 16_000),
    "channels first": (np.zeros((2, 900)), 16_000),
    "three axes": (np.zeros((9, 2, 2)), 16_000),
    "no axis": (np.array(0.5), 16_000),
    "nan": (np.full(9, np.nan), 16_000),
    "loud": (np.full(9, 30_000.0), 16_000),
    "32 bits": (np.zeros(9, np.int32), 16_000),
    "objects": (np.full(9, None), 16_000),
    "text": (np.array(["a"]), 16_000),
    "a list": ([0.0, 0.5], 16_000),
    "no rate": (np.zeros(9), 0),
    "a rate that is none": (np.zeros(9), 16_000.0),
    "a huge rate": (np.zeros(9), 10**400),
    "turned round": (16_000, np.zeros(9)),
    "three": (np.zeros(9), 16_000, 1),
    "none": (),
    "a list of both": [np.zeros(9), 16_000],
}


def test_speech_of_wrong_values_is_refused(talking, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some names are good ones
    quick = {"steps": 1, "released_plan": False}
    right = {"portrait": drawn.images[0], "portrait_landmarks": drawn.faces, "audio": (np.zeros(9), 16_000)}
    right |= {"stages": None}

    def first(**options: Any) -> None:
        frames = talking.talk(**options)
        next(frames, None)
        frames.close()

    portrait = talking.portrait(drawn.images[0], landmarks=drawn.faces)
    assert not wrong(first, right)
    assert not wrong(lambda **given: first(**{**right, "portrait": portrait, **given}), quick | {"seed": None})
    options = dict.fromkeys({*get_type_hints(SamplingOptions)} - {*quick})
    assert not wrong(lambda **given: first(**{**right, **quick, "portrait": portrait, **given}), options)
    assert not wrong(
        lambda **given: first(**{**right, **quick, "portrait": portrait, **given}), {"audio": None}, SOUNDS
    )
    written = {**right, **quick, "portrait": portrait, "out": tmp_path / "o.mp4", "landmarks": None, "resume": "new"}
    written |= {"driving": None, "crop_out": None}
    few = {what: VALUES[what] for what in VALUES if what not in PICTURES}
    assert not wrong(talking.animate, written, few)
    assert not wrong(talking.animate, {"audio": None, **written}, SOUNDS)
    assert not list(tmp_path.glob("*.resume"))


def test_a_numpy_number_is_as_good_as_pythons_for_speech(talking, drawn, tmp_path):
    portrait = talking.portrait(drawn.images[0], landmarks=drawn.faces)
    options = {"steps": np.int64(1), "seed": np.uint8(3), "motion_weights": (np.float32(1), 1, 1)}
    sound = np.zeros(900, np.int16), np.int32(16_000)
    assert talking.animate(portrait, out=tmp_path / "o.mp4", audio=sound, **options).frames == 2


def test_a_bundle_is_moved_by_one_of_two(runtime, talking, drawn, tmp_path):
    seen, spoken = (each.portrait(drawn.images[0], landmarks=drawn.faces) for each in (runtime, talking))
    sound, out = (np.zeros(900), 16_000), tmp_path / "o.mp4"
    calls: dict[str, Callable[[], Any]] = {
        "is for hallo2, whose portraits are moved by speech": lambda: talking.frames(spoken, drawn.images),
        "is for hunyuanportrait, whose portraits are moved by a d": lambda: runtime.talk(seen, sound),
        "got neither; this bundle's are moved by speech": lambda: talking.animate(spoken, out=out),
        "got both; this bundle's are moved by a d": lambda: runtime.animate(seen, "d.mp4", out, audio=sound),
        "landmarks: only for a p": lambda: talking.animate(spoken, None, out, audio=sound, landmarks=drawn.faces),
        "released_plan: only": lambda: runtime.animate(seen, "d.mp4", out, released_plan=True),
        "was encoded by another model": lambda: talking.talk(seen, sound),
    }
    for says, call in calls.items():
        with pytest.raises(InputError) as error:
            call()
        assert says in str(error.value)
    assert not list(tmp_path.iterdir())
