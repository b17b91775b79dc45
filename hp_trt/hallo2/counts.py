"""How much arithmetic and memory every graph is, and what a prediction likens to what.

Exact for sizes that are multiples of 64 pixels, except `held`, for the presets' two motion frames. Printed by `python
-m export.hallo2.count_table`, which counts the real graphs; `tests/hp_trt/hallo2/test_counts.py` holds it against them.
Frames are those of a clip, and for the speech encoder those of a piece of sound, a unit of which is a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.bundle import Bundle
from hp_trt.measure.planning.counts import Counts

# What a graph is likened to where it was not tried itself, the nearest first.
LIKE: Mapping[str, tuple[str, ...]] = {
    "talk_denoiser": ("talk_denoiser_one", "reference", "talk_vae_decoder"),
    "talk_denoiser_one": ("talk_denoiser", "reference", "talk_vae_decoder"),
    "reference": ("talk_denoiser_one", "talk_denoiser", "talk_vae_decoder"),
    "talk_vae_decoder": ("talk_vae_encoder", "reference"),
    "talk_vae_encoder": ("talk_vae_decoder", "reference"),
    "bank_kv": ("reference", "talk_denoiser_one"),
}
_DENOISER = ((1, 1), (1, 2), (2, 1), (0, 1), (1, 0), (0, 0))
TERMS: dict[str, tuple[tuple[int, float], ...]] = {  # what each graph's numbers are made of
    "speech_encoder": ((0, 0), (1, 0), (-1, 0)),  # of a frame of a piece; the last are the convolutions' ends
    "audio_tokens": ((0, 0),),
    "talk_identity": ((0, 1), (0, 0)),
    "talk_vae_encoder": ((0, 1), (0, 2), (0, 0.5), (0, 0)),
    "reference": ((0, 1), (0, 2), (0, 0)),
    "bank_kv": ((0, 1),),
    "talk_steps": ((0, 0),),
    "talk_denoiser": _DENOISER,
    "talk_denoiser_one": _DENOISER,
    "talk_vae_decoder": ((0, 1), (0, 2), (0, 0)),
}

COUNTS: Mapping[str, Mapping[str, Counts]] = {
    "hallo2": {
        "speech_encoder": Counts(
            flops={(0, 0): 376_438_784, (1, 0): 36_864, (-1, 0): 1_038_336},
            moved={(0, 0): 465_280, (-1, 0): -5_888},
            held={(0, 0): 197_247},
            weights=94330368,
        ),
        "audio_tokens": Counts(
            flops={(0, 0): 72_876_032},
            moved={(0, 0): 72_704},
            held={(0, 0): 95_296},
            weights=36463616,
        ),
        "talk_identity": Counts(
            flops={(0, 1): 2_119_680, (0, 0): 6_291_456},
            moved={(0, 1): 7_936, (0, 0): 7_168},
            held={(0, 1): 3_266},
            weights=2090832,
        ),
        "talk_vae_encoder": Counts(
            flops={(0, 1): 264_233_024, (0, 2): 2_048},
            moved={(0, 1): 162_004, (0, 0.5): 6_144, (0, 0): 896},
            held={(0, 1): 32_768},
            weights=34147024,
        ),
        "reference": Counts(
            flops={(0, 1): 160_728_640, (0, 2): 6021.25, (0, 0): 149_422_080},
            moved={(0, 1): 115_924, (0, 0): 286_720},
            held={(0, 1): 7_941},
            weights=828834240,
        ),
        "bank_kv": Counts(
            flops={(0, 1): 12_492_800},
            moved={(0, 1): 22_560},
            held={(0, 1): 17_680},
            weights=24780800,
        ),
        "talk_steps": Counts(
            flops={(0, 0): 4_096_000},
            moved={(0, 0): 4_160},
            held={(0, 0): 2_881},
            weights=2050560,
        ),
        "talk_denoiser": Counts(
            flops={
                (1, 1): 548_930_896,
                (1, 2): 35786.25,
                (2, 1): 45_120,
                (0, 1): 87_567_920,
                (1, 0): 2_548_039_680,
                (0, 0): 358_318_080,
            },
            moved={(1, 1): 682_504, (0, 1): 227979.46875, (1, 0): 4_104_192, (0, 0): 644_290},
            held={(1, 1): 17_739},
            weights=1323571204,
        ),
        "talk_denoiser_one": Counts(
            flops={
                (1, 1): 280_609_440,
                (1, 2): 21543.75,
                (2, 1): 22_560,
                (0, 1): 43_798_000,
                (1, 0): 2_548_039_680,
                (0, 0): 204_963_840,
            },
            moved={(1, 1): 360_608, (0, 1): 115179.46875, (1, 0): 4_104_192, (0, 0): 346_304},
            held={(1, 1): 9_186},
            weights=1323571204,
        ),
        "talk_vae_decoder": Counts(
            flops={(0, 1): 605_507_616, (0, 2): 2_048},
            moved={(0, 1): 299_724},
            held={(0, 1): 49_160},
            weights=49467159,
        ),
    },
    "talk_pocket": {
        "speech_encoder": Counts(
            flops={(0, 0): 3_547_136, (1, 0): 1_024, (-1, 0): -66_816},
            moved={(0, 0): 37_888, (-1, 0): -768},
            held={(0, 0): 25_216},
            weights=236032,
        ),
        "audio_tokens": Counts(
            flops={(0, 0): 237_568},
            moved={(0, 0): 2_048},
            held={(0, 0): 2_320},
            weights=119424,
        ),
        "talk_identity": Counts(
            flops={(0, 1): 718_848, (0, 0): 524_288},
            moved={(0, 1): 6_016, (0, 0): 1_536},
            held={(0, 1): 3_266},
            weights=208048,
        ),
        "talk_vae_encoder": Counts(
            flops={(0, 1): 7_289_920, (0, 2): 256},
            moved={(0, 1): 29_044, (0, 0.5): 896, (0, 0): 96},
            held={(0, 1): 8_192},
            weights=440048,
        ),
        "reference": Counts(
            flops={(0, 1): 1_842_984, (0, 2): 1066.53125, (0, 0): 622_592},
            moved={(0, 1): 14_085, (0, 0): 17_408},
            held={(0, 1): 1_396},
            weights=1642208,
        ),
        "bank_kv": Counts(
            flops={(0, 1): 176_768},
            moved={(0, 1): 2_964},
            held={(0, 1): 2_762},
            weights=63488,
        ),
        "talk_steps": Counts(
            flops={(0, 0): 163_840},
            moved={(0, 0): 832},
            held={(0, 0): 577},
            weights=82432,
        ),
        "talk_denoiser": Counts(
            flops={
                (1, 1): 8_105_500,
                (1, 2): 6676.65625,
                (2, 1): 5_928,
                (0, 1): 1_254_062,
                (1, 0): 4_915_200,
                (0, 0): 2_163_456,
            },
            moved={(1, 1): 95_796, (0, 1): 30081.96875, (1, 0): 93_184, (0, 0): 53_928},
            held={(1, 1): 3_702},
            weights=4003716,
        ),
        "talk_denoiser_one": Counts(
            flops={
                (1, 1): 4_225_374,
                (1, 2): 3999.59375,
                (2, 1): 2_964,
                (0, 1): 629_446,
                (1, 0): 4_915_200,
                (0, 0): 1_303_296,
            },
            moved={(1, 1): 51_114, (0, 1): 15261.96875, (1, 0): 93_184, (0, 0): 30_246},
            held={(1, 1): 1_930},
            weights=4003716,
        ),
        "talk_vae_decoder": Counts(
            flops={(0, 1): 12_034_592, (0, 2): 256},
            moved={(0, 1): 42_764},
            held={(0, 1): 8_200},
            weights=622359,
        ),
    },
}


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Of what a video keeps beside its graphs."""

    motion_frames: int  # m
    banks: tuple[tuple[int, int], ...]  # by level, the finest first: places and channels
    audio_tokens: int  # k, of a frame
    audio_width: int  # Da
    speech_layers: int
    speech_width: int
    face_width: int  # C0, of the face features


SHAPES: Mapping[str, Shapes] = {  # by preset
    "hallo2": Shapes(
        motion_frames=2,
        banks=((5, 320), (5, 640), (5, 1280), (1, 1280)),
        audio_tokens=32,
        audio_width=768,
        speech_layers=12,
        speech_width=768,
        face_width=320,
    ),
    "talk_pocket": Shapes(
        motion_frames=2,
        banks=((5, 64), (5, 32), (5, 32), (1, 32)),
        audio_tokens=8,
        audio_width=64,
        speech_layers=4,
        speech_width=64,
        face_width=64,
    ),
}


def counts_of(preset: str, graph: str) -> Counts | None:
    """Of a graph in full precision; None where nobody has counted it."""
    return COUNTS.get(preset, {}).get(graph)


def shapes_of(bundle: Bundle) -> Shapes:
    """As a bundle's promises have them."""

    def dims(graph: str, output: str, *which: int) -> list[int]:
        return [int(bundle.spec(graph).output(output).dims[i]) for i in which]

    banks = [dims("reference", bank.name, 0, 3) for bank in bundle.spec("reference").outputs]
    tokens, width = dims("audio_tokens", "tokens", 1, 2)
    layers, hidden = dims("speech_encoder", "features", 1, 2)
    return Shapes(
        motion_frames=int(bundle.manifest.geometry["motion_frames"]),
        banks=tuple((places, channels) for places, channels in banks),
        audio_tokens=tokens,
        audio_width=width,
        speech_layers=layers,
        speech_width=hidden,
        face_width=dims("talk_identity", "face_features", 0)[0],
    )
