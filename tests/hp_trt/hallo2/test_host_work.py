"""A machine is measured with a bundle that speech drives."""

from __future__ import annotations

from hp_trt.measure.planning.plan import PredictConfig, plan


def test_this_machine_is_measured_with_the_bundles_graphs_and_what_the_host_does(bundle_of):
    made = plan(PredictConfig(gpu="here", bundle=bundle_of(preset="tiny_talk", precision="fp32"), frames=7))
    assert not made.prediction.missing
    assert all(stage.seconds > 0 and stage.bound == "measured" for stage in made.prediction.stages)
    assert made.choice.steps == 2
    # Ten frames of so small a bundle are made in a moment, so that what is written is what the networks make.
    assert not any(note.startswith("writing was measured with drawn frames") for note in made.notes)
    # Weights, and what a clip keeps; there is no card whose context would be half a GiB.
    assert 0 < made.prediction.memory.total < 2**30
