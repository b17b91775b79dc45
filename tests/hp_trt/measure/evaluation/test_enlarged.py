"""Enlargements are measured against how people were drawn, beside two filters."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from engines.errors import BundleError, InputError
from hp_trt.config import RuntimeConfig
from hp_trt.enhancer import enhancer
from hp_trt.measure.evaluation import enlarged
from hp_trt.measure.evaluation.config import EvaluateConfig, NetworkFiles
from hp_trt.measure.evaluation.enlarged import LOOKS, DrawnPeople, EnlargedMeasures, Look, gains, made_small
from hp_trt.measure.evaluation.evaluate import evaluate
from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import motion
from tests.hp_trt.command_line import refused
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """One that repeats pixels."""
    monkeypatch.setattr(enhancer, "open_backend", lambda *_: StandIn())
    return make_bundle(tmp_path / "E").path


@pytest.fixture
def few(monkeypatch):
    """Two looks in the place of twelve."""
    looks = (Look(side=128, varied=False, jpeg=False), Look(side=128, varied=True, jpeg=True))
    monkeypatch.setattr(enlarged, "LOOKS", looks)


def asked(bundle, **given) -> EvaluateConfig:
    return EvaluateConfig(**({"protocol": "enhance", "seeds": "4:5", "bundles": (bundle,)} | given))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def test_people_are_made_small_by_the_mean_of_squares_and_their_jpeg():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    small = made_small(picture, 4, jpeg=False)
    means = picture.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 1, "Pillow rounds along one axis, and then along the other"
    packed = cv2.imencode(".jpg", np.full((64, 64, 3), (9, 99, 200), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    plain = made_small(np.full((128, 128, 3), (200, 99, 9), np.uint8), 2, jpeg=True)
    assert np.abs(plain.astype(int) - cv2.imdecode(packed, 1)[..., ::-1]).max() <= 2


def test_a_report_has_what_a_hand_measures(bundle, few):
    report = evaluate(asked(bundle))
    drawn = draw(Identity.random(4), motion(4, 12)[-1], 128)
    small = np.asarray(Image.fromarray(drawn).resize((64, 64), Image.Resampling.BOX))
    by_hand = {
        "bicubic": cv2.resize(small, (128, 128), interpolation=cv2.INTER_CUBIC),
        "lanczos": cv2.resize(small, (128, 128), interpolation=cv2.INTER_LANCZOS4),
        "E": small.repeat(2, axis=0).repeat(2, axis=1),
    }
    found = {column["name"]: column["metrics"] for column in report["columns"]}
    assert list(found) == list(by_hand)
    for name, made in by_hand.items():
        assert found[name]["psnr_plain_128"]["mean"] == pytest.approx(psnr(made, drawn), abs=1e-6)
        gain = psnr(made, drawn) - psnr(by_hand["bicubic"], drawn)
        assert found[name]["gain_plain"]["mean"] == pytest.approx(gain, abs=1e-6)
    assert found["E"]["gain_plain"]["mean"] < 0 and found["bicubic"]["gain_varied"]["mean"] == 0
    assert found["E"]["lpips"]["mean"] is None and "needs --lpips" in found["E"]["lpips"]["why"]
    assert any("random weights" in note for note in report["notes"])


def test_every_scale_has_its_own_yardstick(bundle, few):
    runtimes = tuple(RuntimeConfig(profile=name) for name in ("exact", "scale-4", "no-restore"))
    report = evaluate(asked(bundle, runtimes=runtimes))
    assert [column["name"] for column in report["columns"]] == [
        "bicubic x2", "lanczos x2", "bicubic x4", "lanczos x4", "E exact", "E scale-4", "E no-restore",
    ]  # fmt: skip
    assert [column.get("options", {}).get("scale") for column in report["columns"][4:]] == [2, 4, 2]
    scores = [column["metrics"]["psnr_plain_128"]["mean"] for column in report["columns"]]
    assert scores[0] > scores[2] and scores[4] > scores[5], "there is less of a picture a quarter as large"


def test_a_face_as_it_was_drawn_is_its_own_identity_and_at_no_distance(monkeypatch, few):
    seen = []

    def embed(face):
        seen.append(face)
        vector = face.reshape(3, -1)[:, ::97].reshape(1, -1) - face.mean()
        return vector / (np.linalg.norm(vector) + 1e-9)

    monkeypatch.setattr(enlarged, "open_arcface", lambda path: embed)
    monkeypatch.setattr(
        enlarged, "open_picture_distance", lambda path: lambda a, b: float(np.abs(a - b.astype(int)).mean())
    )
    people = DrawnPeople(seeds=range(4, 5), frames=2)
    measures = EnlargedMeasures(NetworkFiles(lpips="l.onnx", arcface="a.onnx"))
    truth = iter([people.drawn(4, look).frames() for look in enlarged.LOOKS])
    perfect = measures.of_person(people, 4, lambda frames: next(truth), 2)
    assert perfect["identity"] == pytest.approx(1) and perfect["lpips"] == 0 and perfect["psnr_plain_128"] == np.inf
    assert len(seen) == 2 * 2 * len(enlarged.LOOKS) and seen[0].shape == (3, 112, 112)
    noise = measures.of_person(people, 4, lambda frames: [np.zeros((128, 128, 3), np.uint8) + 7] * len(frames), 2)
    assert noise["lpips"] > 10


def test_a_gain_is_the_mean_of_its_looks():
    filters = {f"psnr_{look.key}": 30.0 for look in LOOKS}
    values = {f"psnr_{look.key}": 31.0 + look.jpeg - 3 * look.varied for look in LOOKS}
    assert gains(values, filters) == {"gain_plain": 1.5, "gain_varied": -1.5}


def test_it_is_typed_and_printed_and_drawn(hp_trt, bundle, few, tmp_path):
    files = "--json", tmp_path / "r.json", "--plot", tmp_path / "p.png"
    ended = hp_trt("evaluate", "--protocol", "enhance", "--seeds", "4:5", "--bundle", bundle, *files)
    assert ended.code == 0, ended.err
    assert "enlargement" in ended.out and "PSNR over the bicubic filter's, plain, dB" in ended.out
    assert "1 people, seeds 4:5, 1 frames of each" in ended.out and "exact, by 2;" in ended.out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["protocol"] == "enhance" and report["columns"][2]["options"]["restore"] is True
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_bundles_of_other_models_are_refused_and_the_other_way_round(hp_trt, bundle, small_bundle, talk_bundle):
    for other in (small_bundle, talk_bundle):
        refused(hp_trt("evaluate", "--protocol", "enhance", "--seeds", "4:5", "--bundle", other), "which animates")
    for protocol in ("self", "talk"):
        ended = hp_trt("evaluate", "--protocol", protocol, "--seeds", "4:5", "--bundle", bundle)
        refused(ended, "is a bundle of the enhancer, which animates nothing; measure it with --protocol enhance")


def test_what_only_animated_portraits_have_is_refused(bundle, tmp_path):
    for given, says in (
        ({"pairs": tmp_path, "seeds": None}, "--protocol enhance makes drawn people small"),
        ({"sampling": {"steps": 3, "seed": None}}, "--steps: only where portraits are animated"),
        ({"networks": NetworkFiles(pose=tmp_path)}, "--pose"),
        ({"networks": NetworkFiles(fid_features=tmp_path)}, "--fid-features: only where portraits"),
        ({"moods": True}, "--moods is for --protocol talk"),
        ({"frames": 0}, "--frames must be at least 1"),
    ):
        with pytest.raises(InputError, match=says):
            asked(bundle, **given)


def test_a_profile_that_a_bundle_cannot_do_is_refused(tmp_path):
    alone = make_bundle(tmp_path / "alone", ALL[:1]).path
    config = asked(alone, runtimes=(RuntimeConfig(profile="no-upscale"),))
    with pytest.raises(InputError, match="has no restorer, parser, detector, which the profile no-upscale needs"):
        evaluate(config)
    with pytest.raises(InputError, match="given twice"):
        evaluate(replace(config, runtimes=(RuntimeConfig(),) * 2))
    with pytest.raises(BundleError):
        evaluate(replace(config, bundles=(tmp_path / "none",)))
