"""How much arithmetic and memory every graph is, and what a prediction likens to what.

Exact for sizes that are multiples of 64 pixels, except `held`. Printed by `python -m
export.hunyuanportrait.count_table`, which counts the real graphs; `tests/hp_trt/hunyuanportrait/test_counts.py` holds
it against them.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.bundle import Bundle
from hp_trt.measure.planning.counts import Counts

TOKENS: Mapping[str, tuple[int, int]] = {  # by preset: of a frame's motion tokens, m and D
    "hunyuanportrait": (64, 1024),
    "pocket": (64, 64),
}
# What a graph is likened to where it was not tried itself, the nearest first.
LIKE: Mapping[str, tuple[str, ...]] = {
    "live_denoiser": ("denoiser", "vae_decoder"),
    "denoiser": ("live_denoiser", "vae_decoder", "motion"),
    "tiny_decoder": ("vae_decoder", "denoiser"),
    "vae_decoder": ("vae_encoder", "motion"),
    "vae_encoder": ("vae_decoder", "motion"),
    "live_stitch": ("stitch",),
    "denoiser_inner": ("denoiser", "live_denoiser"),
    "denoiser_outer": ("denoiser", "live_denoiser"),
}
_OF_DENOISERS = ((1, 1), (1, 2), (2, 1), (1, 0), (0, 0))
TERMS: dict[str, tuple[tuple[int, float], ...]] = {  # what each graph's numbers are made of
    "appearance": ((0, 0),),
    "motion": ((0, 0),),
    "vae_encoder": ((0, 1), (0, 2), (0, 0.5), (0, 0)),
    "step_embedding": ((0, 0),),
    "denoiser": _OF_DENOISERS,
    "live_denoiser": _OF_DENOISERS,  # of a preset whose distilled UNet has other layers; else as the denoiser
    "vae_decoder": ((0, 1), (0, 2), (0, 0)),
    "tiny_decoder": ((0, 1), (0, 0)),
}

COUNTS: Mapping[str, Mapping[str, Counts]] = {
    "hunyuanportrait": {
        "appearance": Counts(
            flops={(0, 0): 167_143_243_776},
            moved={(0, 0): 133_447_424},
            held={(0, 0): 3_202_048},
            weights=308_739_904,
        ),
        "motion": Counts(
            flops={(0, 0): 21_087_328_256},
            moved={(0, 0): 40_915_334},
            held={(0, 0): 3_670_018},
            weights=101_211_520,
        ),
        "vae_encoder": Counts(
            flops={(0, 1): 264_233_024, (0, 2): 2_048},
            moved={(0, 1): 162_004, (0, 0.5): 6_144, (0, 0): 896},
            held={(0, 1): 32_768},
            weights=34_147_024,
        ),
        "step_embedding": Counts(
            flops={(0, 0): 9_338_880},
            moved={(0, 0): 8_768},
            held={(0, 0): 4_612},
            weights=4_674_560,
        ),
        "denoiser": Counts(
            flops={(1, 1): 281_792_000, (1, 2): 7301.25, (2, 1): 11_280, (1, 0): 3_469_803_520, (0, 0): 9_917_890_560},
            moved={(1, 1): 285_852, (1, 0): 5_416_832, (0, 0): 15_972_736},
            held={(1, 1): 6_430},
            weights=1_570_685_764,
        ),
        "vae_decoder": Counts(
            flops={(0, 1): 734_485_888, (0, 2): 2_048},
            moved={(0, 1): 482_372},
            held={(0, 1): 49_156},
            weights=63_535_137,
        ),
        "tiny_decoder": Counts(
            flops={(0, 1): 11_432_448},
            moved={(0, 1): 20_612},
            held={(0, 1): 4_224},
            weights=969_292,
        ),
    },
    "pocket": {
        "appearance": Counts(
            flops={(0, 0): 863_483_904},
            moved={(0, 0): 6_905_984},
            held={(0, 0): 133_312},
            weights=975_232,
        ),
        "motion": Counts(
            flops={(0, 0): 88_388_352},
            moved={(0, 0): 1_185_350},
            held={(0, 0): 68_240},
            weights=1_009_808,
        ),
        "vae_encoder": Counts(
            flops={(0, 1): 7_289_920, (0, 2): 256},
            moved={(0, 1): 29_044, (0, 0.5): 896, (0, 0): 96},
            held={(0, 1): 8_192},
            weights=440_048,
        ),
        "step_embedding": Counts(
            flops={(0, 0): 344_064},
            moved={(0, 0): 1_696},
            held={(0, 0): 868},
            weights=173_056,
        ),
        "denoiser": Counts(
            flops={(1, 1): 3_974_400, (1, 2): 1322.53125, (2, 1): 1_482, (1, 0): 11_517_952, (0, 0): 33_914_880},
            moved={(1, 1): 37_157, (1, 0): 309_824, (0, 0): 922_304},
            held={(1, 1): 1_310},
            weights=3_895_844,
        ),
        "live_denoiser": Counts(
            flops={(1, 1): 2_416_672, (1, 2): 793.53125, (2, 1): 890, (1, 0): 7_127_040, (0, 0): 21_004_288},
            moved={(1, 1): 22_495, (1, 0): 192_576, (0, 0): 573_504},
            held={(1, 1): 1_306},
            weights=2_453_508,
        ),
        "vae_decoder": Counts(
            flops={(0, 1): 15_380_352, (0, 2): 256},
            moved={(0, 1): 76_676},
            held={(0, 1): 10_244},
            weights=801_761,
        ),
        "tiny_decoder": Counts(
            flops={(0, 1): 1_239_552},
            moved={(0, 1): 4_100},
            held={(0, 1): 1_152},
            weights=345_628,
        ),
    },
}


def counts_of(preset: str, graph: str) -> Counts | None:
    """Of a graph in full precision; None where nobody has counted it. A distilled denoiser is the denoiser unless it
    has other layers."""
    graphs = COUNTS.get(preset, {})
    return graphs.get(graph) or (graphs.get("denoiser") if graph == "live_denoiser" else None)


def tokens_of(bundle: Bundle) -> tuple[int, int]:
    """Of a frame's motion tokens: m, D."""
    m, width = bundle.spec("motion").output("motion_tokens").dims[1:]
    return int(m), int(width)
