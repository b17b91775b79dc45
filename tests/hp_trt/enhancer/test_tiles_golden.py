"""Pictures enlarged in tiles, by 2 and by 4, against the released program's, with the cases' small networks."""

from __future__ import annotations

import numpy as np
import torch

from export.enhancer.networks.config import UpscalerConfig
from export.enhancer.networks.upscaler import Upscaler
from export.weights.random import random_weight
from hp_trt.enhancer.networks import lanczos
from runtime.enhancer.tiles import enlarge
from tests.fakes import FakeBackend, spec
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, Case, discover, golden_cases, load_case

TARGET = ("upscale_tiles",)


def network_of(case: Case) -> Upscaler:
    made = {key: random_weight(key, shape, prefix=case.weight_prefix) for key, shape in case.manifest().items()}
    made["conv_last.weight"] = made["conv_last.weight"] * np.float32(case.options["conv_last_weight_factor"])
    made["conv_last.bias"] = np.full_like(made["conv_last.bias"], case.options["conv_last_bias"])
    network = Upscaler(UpscalerConfig(**case.config))
    network.load_state_dict({key: torch.from_numpy(value) for key, value in made.items()})
    return network.eval()


def test_there_are_golden_tiles():
    assert len(discover(targets=TARGET, folder=HALLO2_SHIPPED)) == 2


@golden_cases(targets=TARGET, folder=HALLO2_FOLDER)
def test_the_enhancers_tiles_match_their_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    network, backend = network_of(case), FakeBackend()

    @torch.inference_mode()
    def formula(picture):
        return {"enlarged": network(torch.from_numpy(picture)).numpy()}

    promise = spec("an upscaler", {"picture": (1, 3, "h", "w")}, {"enlarged": (1, 3, "h2", "w2")})
    picture = case.inputs["picture"][..., ::-1]  # BGR as recorded
    tile, around, scale = (case.options[name] for name in ("tile", "tile_pad", "scale"))
    made = enlarge(backend, backend.session(promise, formula), picture, tile=tile, around=around)
    made = lanczos(made, picture.shape[1] * scale, picture.shape[0] * scale)[..., ::-1]
    off = np.abs(made.astype(int) - case.outputs["picture"])
    assert off.max() <= (1 if scale == 2 else 2)
