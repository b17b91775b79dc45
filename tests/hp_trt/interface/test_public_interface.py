"""Whatever an application hands in: a result, or one of our own errors, never another exception.

Every public callable is called with each hostile value for each of its parameters, the others as they should be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import pytest

import hp_trt
from hp_trt import HpTrtError, LiveSession, Profile, Runtime, RuntimeConfig, SamplingOptions
from hp_trt.faces.face import FaceLocator
from hp_trt.measure.evaluation.drawn import known_faces
from procedural.clip import clip
from runtime.live_windows import LiveWindows
from tests.hp_trt.interface.hostile import PICTURES, VALUES

# We make these, for applications to read: what they are made of is not checked.
READ_ONLY = {"Animation", "Event", "Frame", "LiveFrame", "LiveStats", "Portrait"}
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
    for method in (Runtime.portrait, Runtime.animate, Runtime.frames, Runtime.live, LiveSession.push, LiveSession.pull):
        for parameter in set(inspect.signature(method).parameters) - {"self", "sampling"}:
            assert f'"{parameter}"' in text, f"{method.__qualname__}: {parameter}"


@pytest.mark.parametrize("name", sorted(n for n in hp_trt.__all__ if n.endswith("Error") or n == "LiveTimeout"))
def test_an_error_takes_whatever_it_is_told(name):
    assert not wrong(getattr(hp_trt, name), {"message": "what was found"})


def test_a_configuration_of_wrong_values_is_refused_where_it_is_made_or_where_it_is_opened(live_bundle):
    right = {field: getattr(RuntimeConfig(), field) for field in RuntimeConfig.__dataclass_fields__}
    for changed in ({}, {"family": "tensorrt"}, {"locator": "yunet"}):
        assert not wrong(lambda changed=changed, **options: RuntimeConfig(**{**options, **changed}), right)
    opened: list[tuple[str, Any]] = []
    for field in ("profile", "arcface"):
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
    assert not wrong(lambda **options: runtime._with(Profile(name="mine", sampling=options), {}), sampled)
    assert not wrong(LiveWindows, {"size": 4, "overlap": 1, "lead_in": 0})


def test_a_runtime_of_wrong_values_is_refused(live_bundle):
    def opened(**options: Any) -> None:
        Runtime(options.pop("bundle"), options.pop("config"), **options).close()

    right = {"bundle": live_bundle, "config": None, "on_event": None, "settle_stages": False, "backend": None}
    assert set(inspect.signature(Runtime).parameters) == set(right)
    few = {what: VALUES[what] for what in VALUES if what not in PICTURES and what not in ("None", "a class")}
    assert not wrong(opened, right, few)


def test_a_portrait_of_wrong_values_is_refused(runtime, drawn):
    right = {"image": drawn.images[0], "landmarks": drawn.faces, "stages": None}
    assert not wrong(runtime.portrait, right)


def test_frames_of_wrong_values_are_refused(runtime, drawn, live_profile):
    portrait = runtime.portrait(drawn.images[0], landmarks=drawn.faces)

    def first(**options: Any) -> None:
        frames = runtime.frames(**options)
        next(frames, None)
        frames.close()

    right = {"portrait": portrait, "driving": drawn.images, "landmarks": drawn.faces}
    options = {**dict.fromkeys(get_type_hints(SamplingOptions)), **QUICK}
    assert not wrong(lambda **values: first(**{**options, **values}), right)
    assert not wrong(lambda **values: first(**{**right, **QUICK, **values}), {**options})
    assert not wrong(lambda image: first(**{**right, **QUICK, "driving": [drawn.images[0], image]}), {"image": None})


def test_live_frames_of_wrong_values_are_refused(runtime, drawn, live_profile):
    portrait = runtime.portrait(drawn.images[0], landmarks=drawn.faces)
    right = {"portrait": portrait, "profile": live_profile, "policy": "block", "queue_in": None, "queue_out": None}
    right |= {"landmarks": drawn.faces, "seed": None, "stages": None}
    assert not wrong(lambda **options: runtime.live(**options).abort(), right)
    with runtime.live(**right) as session:
        assert not wrong(session.push, {"image": drawn.images[0], "pts_s": None}, PICTURES)
    for what, value in VALUES.items():
        with runtime.live(**right) as session:
            assert not wrong(session.push, {"image": drawn.images[0], "pts_s": 0}, {what: value})
            assert not wrong(session.change, {"portrait": None, "profile": None}, {what: value})
            session.close()  # then nothing is waited for, however long
            assert not wrong(session.pull, {"timeout_s": 0}, {what: value})


def test_files_of_wrong_values_are_refused(runtime, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some names are good ones
    right: dict[str, Any] = {"portrait": drawn.images[0], "driving": tmp_path / "none.mp4", "out": tmp_path / "out.mp4"}
    right |= {"crop_out": None, "landmarks": drawn.faces, "portrait_landmarks": drawn.faces}
    assert not wrong(runtime.animate, right)
