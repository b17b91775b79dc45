"""A portrait as the networks see it: which row sees which tokens, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.hallo2.conditions import encode_conditions, motion_sets, portrait_sets
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.runtime.hallo2 import fake_networks as fake


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_rows_keep_the_tokens_of_their_places_in_the_released_list(m):
    """[ref, m1..mm, ref, m1..mm], and row r sees the set r mod 2."""
    listed = [r % 2 for r in range(2 * (1 + m))]
    assert portrait_sets(m) == (listed[0], listed[1 + m])
    assert motion_sets(m, both=True) == (*listed[1 : 1 + m], *listed[2 + m :])
    assert motion_sets(m, both=False) == tuple(listed[2 + m :])


def test_with_two_motion_frames_it_is_the_list_of_the_specification():
    assert portrait_sets(2) == (0, 1)  # ref|u, ref|c
    assert motion_sets(2, both=True) == (1, 0, 0, 1)  # m1|c, m2|u; m1|u, m2|c


@pytest.mark.parametrize(("m", "both"), [(2, True), (3, True), (3, False)])
def test_a_portrait_is_encoded_once_and_kept(m, both):
    backend, events = FakeBackend(), []
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=m, both=both)
    portrait = fake.fake_portrait()
    stages = Stages(events.append)
    kept = encode_conditions(
        backend, sessions, **portrait, motion_frames=fake.motion_frames(sessions), scaling_factor=0.5, stages=stages
    )
    assert kept.motion_frames == m
    tokens, face = fake.identity(portrait["embedding"], portrait["face_region"][None])
    np.testing.assert_allclose(backend.download(kept.image_tokens), tokens, atol=1e-6)
    np.testing.assert_allclose(backend.download(kept.face_features), face, atol=1e-6)
    latents = 0.5 * fake.encode(portrait["picture"])[0]
    rows = [fake.reference(latents, tokens[which]) for which in (0, (1 + m) % 2)]
    for i in range(len(fake.BANKS)):
        key, value = fake.key_value(np.stack([row[i] for row in rows], axis=1))
        np.testing.assert_allclose(backend.download(kept.keys[i]), key, atol=1e-5)
        np.testing.assert_allclose(backend.download(kept.values[i]), value, atol=1e-5)
    names = {tensor.name for tensor in sessions["denoiser"].spec.inputs}
    assert set(kept.of_denoiser()) < names
    assert (events[-1].stage, events[-1].kind, events[-1].done) == ("portrait", "end", events[-1].total)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ("embedding", "talk_identity: image_tokens: 5 of 20 values are NaN"),
        ("face_region", "talk_identity: face_features"),
        ("picture", "talk_vae_encoder: the portrait"),
    ],
)
def test_a_nan_names_its_graph(spoiled, message):
    backend = FakeBackend()
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=2)
    portrait = fake.fake_portrait()
    portrait[spoiled].flat[0] = np.nan
    with pytest.raises(NonFiniteError, match=message.replace("5 of 20", r"\d+ of 20")):
        encode_conditions(backend, sessions, **portrait, motion_frames=fake.motion_frames(sessions), scaling_factor=0.5)


def test_a_nan_of_the_reference_net_is_found_before_any_clip():
    backend = FakeBackend()
    sessions = fake.fake_sessions(backend, frames=4, motion_frames=2)
    real = sessions["reference"].formula

    def formula(**inputs):
        banks = real(**inputs)
        banks["bank_1"][0, 1] = np.nan
        return banks

    sessions["reference"].formula = formula
    with pytest.raises(NonFiniteError, match="reference: bank_1 of the portrait: 2 of 4 values"):
        encode_conditions(
            backend, sessions, **fake.fake_portrait(), motion_frames=fake.motion_frames(sessions), scaling_factor=0.5
        )
