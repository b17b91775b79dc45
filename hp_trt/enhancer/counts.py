"""How much arithmetic and memory each of the enhancer's graphs is, of every preset: for plans where no PyTorch is.

F are frames that are restored together, c cells of 8 x 8 pixels of a picture (of a tile, or of what the detector looks
at); restorer and parser see faces of one size. A unit is a frame, a face or a picture. The detector's numbers are exact
for sides that are multiples of 32. Printed by `python -m export.enhancer.count_table`, which counts the real graphs;
`tests/hp_trt/enhancer/test_counts.py` holds the table against them.
"""

from __future__ import annotations

from collections.abc import Mapping

from hp_trt.measure.planning.counts import Counts

TERMS: Mapping[str, tuple[tuple[int, float], ...]] = {  # by role: what its numbers are made of
    "upscaler": ((0, 1),),
    "restorer": ((0, 0), (1, 0)),
    "parser": ((0, 0),),
    "detector": ((0, 1),),
}

COUNTS: Mapping[str, Mapping[str, Counts]] = {
    "enhancer": {
        "upscaler": Counts(
            flops={(0, 1): 573_825_024},
            moved={(0, 1): 1_012_672},
            held={(0, 1): 50_176},
            weights=16703171,
        ),
        "restorer": Counts(
            flops={(0, 0): 819_298_566_144, (1, 0): 4_718_592},
            moved={(0, 0): 955_597_632},
            held={(0, 0): 114_098_432},
            weights=112565059,
        ),
        "parser": Counts(
            flops={(0, 0): 468_084_326_400},
            moved={(0, 0): 486_716_428},
            held={(0, 0): 109_838_848},
            weights=21284883,
        ),
        "detector": Counts(
            flops={(0, 1): 13_832_704},
            moved={(0, 1): 32_126},
            held={(0, 1): 3_584},
            weights=27235616,
        ),
    },
    "enhancer_pocket": {
        "upscaler": Counts(
            flops={(0, 1): 5_879_808},
            moved={(0, 1): 44_224},
            held={(0, 1): 12_544},
            weights=101603,
        ),
    },
    "enhancer_tiny": {
        "upscaler": Counts(
            flops={(0, 1): 5_879_808},
            moved={(0, 1): 44_224},
            held={(0, 1): 12_544},
            weights=101603,
        ),
        "restorer": Counts(
            flops={(0, 0): 1_250_271_232, (1, 0): 16_384},
            moved={(0, 0): 36_528_916},
            held={(0, 0): 4_557_056},
            weights=28167,
        ),
        "parser": Counts(
            flops={(0, 0): 1_505_230_848},
            moved={(0, 0): 31_028_012},
            held={(0, 0): 7_094_288},
            weights=14267,
        ),
        "detector": Counts(
            flops={(0, 1): 46_822},
            moved={(0, 1): 1267.25},
            held={(0, 1): 224},
            weights=48092,
        ),
    },
}
