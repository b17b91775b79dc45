"""What is watched of the literal UNet, against softmax by hand and against attention whose answer is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from export.hunyuanportrait.looking.attention import (
    FRAMES,
    FROM_MOTION,
    IMAGE,
    IMAGE_FEW,
    MOTION,
    MOTION_FEW,
    OWN,
    ROWS,
    Watched,
    watching,
)
from export.hunyuanportrait.reference.networks import random_networks
from tests.export.tiny import SMALL

FRAMES_OF_WINDOW, SIDE = 3, 4
WINDOWS = [[0, 2], [], [1]]  # which places of each window are frames of the clip


@pytest.fixture
def net():
    """A UNet of seconds, and what calls it as the literal loop does: three rows a window."""
    config = SMALL.architecture.unet.to_diffusers()
    unet = random_networks({"unet": config})["unet"]
    torch.manual_seed(0)
    width = SMALL.architecture.unet.cross_attention_dim
    image, motion = torch.randn(1, FRAMES_OF_WINDOW, 3, width), torch.randn(1, FRAMES_OF_WINDOW, 4, width)
    sample = torch.randn(1, FRAMES_OF_WINDOW, 8, SIDE, SIDE)

    def run(watched: Watched, *, image=image, motion=motion, rows: int = len(WINDOWS) * ROWS):
        rows_of = [(0 * image, 0 * motion), (image, 0 * motion), (image, motion)]
        with torch.no_grad(), watching(unet, watched):
            return [
                unet.velocity(sample + call, torch.tensor(0.5), torch.ones(1, 3), *rows_of[call % ROWS])
                for call in range(rows)
            ]

    return SimpleNamespace(unet=unet, image=image, motion=motion, run=run)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def recorded(net, kind: str, run) -> dict[str, list[np.ndarray]]:
    """What each attention of a kind is given, call by call, in float64."""
    given: dict[str, list[np.ndarray]] = {}
    handles = [
        module.register_forward_pre_hook(
            lambda _, args, name=name: given.setdefault(name, []).append(args[0].double().numpy())
        )
        for name, module in net.unet.named_modules()
        if name.endswith(kind)
    ]
    run()
    for handle in handles:
        handle.remove()
    return given


def level(name: str) -> int:
    return 1 if name.startswith("mid") else 0  # only the finest of the two levels has attention beside the middle


def matrix(module) -> np.ndarray:
    return module.weight.detach().double().numpy()


def test_sums_are_those_of_softmax_by_hand(net):
    watched = Watched(windows=WINDOWS)
    given = recorded(net, ".transformer_blocks.0.attn2", lambda: net.run(watched))
    assert watched.calls == ROWS * len(WINDOWS) and len(given) == 4
    image, motion = net.image[0].double().numpy(), net.motion[0].double().numpy()
    expected = {key: ([], []) for key in ("image", "motion", "image few", "motion few", "share", "own")}
    for name, calls in given.items():
        attend = net.unet.get_submodule(name)
        heads, adapter, to_q = attend.heads, attend.processor, matrix(attend.to_q)
        out = matrix(attend.to_out[0])
        for number, places in enumerate(WINDOWS):
            mean = motion[places].mean(axis=0) if places else None
            for place in places:
                queries = calls[ROWS * number + ROWS - 1][place] @ to_q.T  # (L, C)
                adds, seen = {}, {}
                for kind, tokens, to_k, to_v in (
                    ("image", image[place], attend.to_k, attend.to_v),
                    ("motion", motion[place], adapter.to_k_ip[0], adapter.to_v_ip[0]),
                    ("mean", mean, adapter.to_k_ip[0], adapter.to_v_ip[0]),
                ):
                    keys, values = tokens @ matrix(to_k).T, tokens @ matrix(to_v).T
                    dim = keys.shape[1] // heads
                    taken, read = np.zeros_like(queries), np.zeros((heads, len(queries), len(tokens)))
                    for head in range(heads):
                        part = slice(head * dim, (head + 1) * dim)
                        for cell, query in enumerate(queries):
                            read[head, cell] = softmax(keys[:, part] @ query[part] / math.sqrt(dim))
                            taken[cell, part] = read[head, cell] @ values[:, part]
                    adds[kind], seen[kind] = taken @ out.T, read
                for kind in ("image", "motion"):
                    entropy = -(seen[kind] * np.log(seen[kind])).sum(axis=-1)
                    expected[kind][level(name)].append(seen[kind].mean(axis=0))
                    expected[f"{kind} few"][level(name)].append(
                        (1 - entropy / math.log(seen[kind].shape[-1])).mean(axis=0)
                    )
                length = {kind: np.sqrt((added**2).sum(axis=-1)) for kind, added in adds.items()}
                expected["share"][level(name)].append(length["motion"] / (length["motion"] + length["image"]))
                apart = np.sqrt(((adds["motion"] - adds["mean"]) ** 2).sum(axis=-1))
                expected["own"][level(name)].append(np.minimum(apart / length["motion"], 1))
    found = {(one.level, one.what): one.values for one in watched.found()}
    whats = {"image": IMAGE, "motion": MOTION, "image few": IMAGE_FEW, "motion few": MOTION_FEW}
    for key, of_levels in expected.items():
        what = {**whats, "share": FROM_MOTION, "own": OWN}[key]
        for number, parts in enumerate(of_levels):
            by_hand = np.mean(parts, axis=0)
            values = found[number, what].reshape(by_hand.shape)
            np.testing.assert_allclose(values, by_hand, atol=1e-5, err_msg=f"{what}, level {number}")


def test_frames_read_each_other_by_softmax_by_hand_in_every_window(net):
    watched = Watched(windows=WINDOWS)
    given = recorded(net, ".temporal_transformer_blocks.0.attn1", lambda: net.run(watched))
    expected: tuple[list, list] = ([], [])
    for name, calls in given.items():
        attend = net.unet.get_submodule(name)
        for x in calls[ROWS - 1 :: ROWS]:  # (L, F, C)
            queries, keys = x @ matrix(attend.to_q).T, x @ matrix(attend.to_k).T
            dim = keys.shape[-1] // attend.heads
            for cell in range(len(x)):
                for head in range(attend.heads):
                    part = slice(head * dim, (head + 1) * dim)
                    expected[level(name)].append(
                        [softmax(keys[cell, :, part] @ query / math.sqrt(dim)) for query in queries[cell, :, part]]
                    )
    for number, parts in enumerate(expected):
        found = next(one for one in watched.found() if (one.level, one.what) == (number, FRAMES))
        np.testing.assert_allclose(found.values, np.mean(parts, axis=0), atol=1e-5)
        np.testing.assert_allclose(found.values.sum(axis=1), 1, atol=1e-5)


def test_a_net_whose_queries_are_zeros_attends_to_everything_alike(net):
    for name, parameter in net.unet.named_parameters():
        if name.endswith("to_q.weight"):
            parameter.requires_grad_(False).zero_()
    watched = Watched(windows=WINDOWS)
    net.run(watched)
    for one in watched.found():
        if one.what in (IMAGE_FEW, MOTION_FEW, IMAGE, MOTION, FRAMES):
            np.testing.assert_allclose(one.values, one.even, atol=1e-5)


def test_the_same_motion_in_every_frame_is_no_frames_own(net):
    watched = Watched(windows=WINDOWS)
    net.run(watched, motion=net.motion[:, :1].expand_as(net.motion))
    assert all(one.values.max() < 1e-4 for one in watched.found() if one.what == OWN)
    moving = Watched(windows=WINDOWS)
    net.run(moving)
    assert all(one.values.min() > 0.1 for one in moving.found() if one.what == OWN and one.level == 0)


@pytest.mark.parametrize(("still", "share"), [("motion", 0), ("image", 1)])
def test_tokens_that_are_zeros_add_nothing(net, still, share):
    watched = Watched(windows=WINDOWS)
    net.run(watched, **{still: torch.zeros_like(getattr(net, still))})
    for one in watched.found():
        if one.what == FROM_MOTION:
            np.testing.assert_allclose(one.values, share, atol=1e-5)


def test_rows_without_motion_do_not_count(net):
    watched = Watched(windows=WINDOWS)
    net.run(watched, rows=ROWS - 1)
    assert watched.calls == ROWS - 1
    assert all(sums.share.count == sums.frames.count == 0 for sums in watched.levels.values())


def test_watching_changes_nothing_and_leaves_nothing_behind(net):
    def hooks() -> list[int]:
        return [len(module._forward_pre_hooks) for module in net.unet.modules()]

    before = hooks()
    seen = net.run(Watched(windows=WINDOWS), rows=ROWS)
    assert hooks() == before
    with torch.no_grad():
        sample_free = net.run(Watched(windows=[[], [], []]), rows=ROWS)
    for one, other in zip(seen, sample_free, strict=True):
        assert torch.equal(one, other)
