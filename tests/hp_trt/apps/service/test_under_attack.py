"""Hostile uploads, kills and crowds: a few in every run, as many as the issue asks for when asked for."""

from __future__ import annotations

import pytest

from tests.hp_trt.apps.service import crowd, hostile_uploads, kills


@pytest.mark.slow
def test_hostile_uploads_are_one_problem_each(tmp_path):
    found = hostile_uploads.run(tmp_path, uploads=40)
    assert found.wrong == [] and found.answers[415] > 5


@pytest.mark.slow
def test_a_service_that_is_killed_loses_no_job_and_tears_no_result(tmp_path):
    found = kills.run(tmp_path, kills=1)
    assert found.wrong == [] and found.states["done"]


@pytest.mark.heavy
@pytest.mark.parametrize("bundle", ["shipped:pocket", "shipped:talk_pocket"])
def test_three_hundred_hostile_uploads(tmp_path, bundle):
    found = hostile_uploads.run(tmp_path, uploads=300, bundle=bundle)
    assert found.wrong == [] and found.answers[415] > 50


@pytest.mark.heavy
def test_fifty_kills(tmp_path):
    found = kills.run(tmp_path, kills=50)
    assert found.wrong == [] and found.states["done"]


@pytest.mark.heavy
def test_sixty_four_clients_for_five_minutes(tmp_path):
    found = crowd.run(tmp_path, clients=64, seconds=300)
    assert found.wrong == [] and len(found.waits_s) > 100
