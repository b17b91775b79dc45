"""Random weights follow from key and prefix alone."""

from __future__ import annotations

import numpy as np
import torch

from export.weights.random import load_random, random_state_dict, random_weight


def test_a_weight_depends_on_its_key_and_the_prefix_only():
    first = random_weight("a.weight", (3, 4))
    assert np.array_equal(first, random_weight("a.weight", (3, 4)))
    assert not np.array_equal(first, random_weight("b.weight", (3, 4)))
    assert not np.array_equal(first, random_weight("a.weight", (3, 4), prefix="p"))
    assert np.array_equal(random_weight("b.weight", (3, 4), prefix="a."), random_weight("a.b.weight", (3, 4)))


def test_each_kind_of_entry_has_its_scale():
    n = 4096
    assert abs(random_weight("x.weight", (n, 16)).std() - 0.25) < 0.01  # 1 / sqrt(16), 65536 samples
    assert abs(random_weight("x.weight", (n,)).mean() - 1) < 0.01
    assert abs(random_weight("x.bias", (n,)).std() - 0.05) < 0.005
    assert abs(random_weight("latents", (n, 16)).std() - 0.5) < 0.01
    assert (random_weight("x.running_var", (n,)) >= 0).all()
    assert random_weight("x.num_batches_tracked", (), integer=True).dtype == np.int64


def test_a_module_on_the_meta_device_gets_real_weights():
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    load_random(module, "p.")
    assert not module.training
    assert np.array_equal(module[0].weight.numpy(), random_weight("p.0.weight", (4, 3, 3, 3)))
    assert module[1].num_batches_tracked.item() == 0


def test_shapes_alone_give_the_same_dict_as_the_module():
    module = torch.nn.BatchNorm2d(4)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    made, expected = random_state_dict(shapes), random_state_dict(module)
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[key], expected[key]) and made[key].dtype == expected[key].dtype for key in made)


def test_other_float_dtypes_leave_integers_alone():
    made = random_state_dict(torch.nn.BatchNorm2d(4), dtype=torch.float16)
    assert made["weight"].dtype == torch.float16
    assert made["num_batches_tracked"].dtype == torch.int64


def test_entries_made_side_by_side_are_those_made_one_by_one():
    shapes = {f"layer{number}.weight": (number + 1, 50) for number in range(40)}
    made = random_state_dict(shapes, "p.")
    assert list(made) == list(shapes)
    assert all(np.array_equal(made[key].numpy(), random_weight(key, shapes[key], prefix="p.")) for key in shapes)
