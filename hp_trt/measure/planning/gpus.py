"""What graphics cards can do at best, from their makers' data sheets.

Dense peaks, without sparsity, of tensor cores that add up in fp32: on GeForce cards that is half of the number with
fp16 sums. Cards run below them, so a prediction takes a part of each peak. That part, each card's `attainable`, is
arithmetic until a machine is measured: of the full-size denoiser, part by part, the longer of its products (at 80 % of
what a plain product reaches, attention at 50 %) and of its traffic, fused as a builder usually does. A plain product
reaches 0.8 of the sheet's peak (measured on an H100 and an H200: 798 and 788 TFLOP/s) and all of it on GeForce cards,
whose peak is that of fp32 sums (RTX 4090); a copy 0.9 of the sheet's bytes/s. The table of these parts is in
`tests/hp_trt/measure/planning/test_paper.py`, which holds every card against it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from engines.errors import InputError

LAUNCH_S = 20e-6  # of one graph call, as a CUDA graph; measured nowhere yet: an assumption
HERE = "here"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One kind of card. Peaks in FLOP/s (int8: operations/s), None where the card has no such units."""

    name: str
    capability: str  # of CUDA: "9.0"
    fp32: float  # outside of the tensor cores: fp32 graphs do not round to TF32
    fp16: float  # and bf16, where the card has it
    fp8: float | None
    int8: float | None
    bandwidth: float  # bytes/s
    attainable: float  # part of peak arithmetic and of peak bandwidth that whole networks reach: arithmetic
    memory_bytes: int  # as sold: a driver shows a sixteenth less where ECC keeps its bits in GDDR (T4, A10, L4, L40S)

    def peak(self, dtype: str) -> float:
        """FLOP/s in "float32", "float16", "float8" or "int8". Raises InputError where there are no such units."""
        peak = {"float32": self.fp32, "float16": self.fp16, "float8": self.fp8, "int8": self.int8}[dtype]
        if peak is None:
            raise InputError(
                f"{self.name} computes nothing in {dtype}, which graphs of this bundle ask for; take a bundle in fp16 "
                "or a newer card"
            )
        return peak


def _card(
    name: str,
    capability: str,
    fp32: float,
    fp16: float,
    fp8: float | None,
    int8: float | None,
    gb_s: float,
    gib: int,
    attainable: float,
) -> Gpu:
    """From TFLOP/s, GB/s and GiB."""
    return Gpu(
        name=name,
        capability=capability,
        fp32=fp32 * 1e12,
        fp16=fp16 * 1e12,
        fp8=None if fp8 is None else fp8 * 1e12,
        int8=None if int8 is None else int8 * 1e12,
        bandwidth=gb_s * 1e9,
        attainable=attainable,
        memory_bytes=gib * 2**30,
    )


# Data sheets print numbers "with sparsity": those are halved here. Sources beside each card; capabilities are NVIDIA's
# page "CUDA GPU Compute Capability".
#
# Looked up in November 2026, not in the PDFs themselves but in texts and tables that quote them. Found there as it
# stands here was every number but those that are "worked out", for lack of a quote: 8-bit peaks from those of the same
# units in another card, times units and clock (`tests/hp_trt/measure/planning/test_gpus.py`); an A30's fp32 is two
# operations of 3584 cores at 1.44 GHz, an RTX 5070 Ti's GB/s are 256 lines at 28 Gbit/s.
#
# GeForce cards sum products in fp32 at half the speed at which they sum them in fp16, those of fp8 too, and here stands
# the slower: 330 of an RTX 4090's 661, which its whitepaper has right since version 2.02. Other cards have one speed.
GPUS = {
    gpu.name: gpu
    for gpu in (
        # name, capability, TFLOP/s in fp32, fp16, fp8, int8, GB/s, GiB, attainable
        _card("B200", "10.0", 75, 2250, 4500, 4500, 7700, 180, 0.40),  # NVIDIA Blackwell data sheet, HGX B200, a GPU
        _card("H200", "9.0", 67, 989, 1979, 1979, 4800, 141, 0.45),  # NVIDIA H200 data sheet, SXM
        _card("H100", "9.0", 67, 989, 1979, 1979, 3350, 80, 0.40),  # NVIDIA H100 data sheet, SXM
        _card("H100 PCIe", "9.0", 51, 756, 1513, 1513, 2000, 80, 0.37),  # NVIDIA H100 data sheet, PCIe
        _card("A100", "8.0", 19.5, 312, None, 624, 2039, 80, 0.48),  # NVIDIA A100 data sheet, 80 GB SXM
        _card("A100 40GB", "8.0", 19.5, 312, None, 624, 1555, 40, 0.45),  # NVIDIA A100 whitepaper, table 4
        _card("A30", "8.0", 10.3, 165, None, 330, 933, 24, 0.47),  # NVIDIA A30 data sheet; fp32 worked out
        _card("A10", "8.6", 31.2, 125, None, 250, 600, 24, 0.45),  # NVIDIA A10 data sheet
        _card("L40S", "8.9", 91.6, 362, 733, 733, 864, 48, 0.36),  # NVIDIA L40S data sheet
        _card("L4", "8.9", 30.3, 121, 242, 242, 300, 24, 0.36),  # NVIDIA L4 data sheet
        _card("T4", "7.5", 8.1, 65, None, 130, 320, 16, 0.45),  # NVIDIA T4 data sheet; fp16 only, no bf16
        _card("RTX A6000", "8.6", 38.7, 154.8, None, 309.7, 768, 48, 0.45),  # NVIDIA Ampere GA102 whitepaper, table 3
        _card(
            "RTX 6000 Ada", "8.9", 91.1, 364.2, 728.5, 728.5, 960, 48, 0.37
        ),  # NVIDIA Ada whitepaper, professional cards
        _card(
            "RTX 5090", "12.0", 104.8, 209.5, 419, 838, 1792, 32, 0.61
        ),  # NVIDIA RTX Blackwell whitepaper, appendix A
        _card("RTX 5080", "12.0", 56.3, 112.6, 225.1, 450.2, 960, 16, 0.61),  # the same, appendix B; 8-bit worked out
        _card(
            "RTX 5070 Ti", "12.0", 43.9, 87.9, 175.8, 351.5, 896, 16, 0.63
        ),  # the same, appendix C; 8-bit, GB/s worked out
        _card("RTX 4090", "8.9", 82.6, 165.2, 330.3, 660.6, 1008, 24, 0.57),  # NVIDIA Ada whitepaper 2.02, appendix A
        _card("RTX 4080", "8.9", 48.7, 97.5, 194.9, 389.9, 716.8, 16, 0.59),  # the same, appendix B; 8-bit worked out
        _card("RTX 3090", "8.6", 35.6, 71, None, 284, 936, 24, 0.65),  # NVIDIA Ampere GA102 whitepaper, appendix A
        _card("RTX 3080", "8.6", 29.8, 59.5, None, 238, 760, 10, 0.65),  # the same; int8 worked out
    )
}


def find_card(name: str, capability: str | None = None) -> Gpu:
    """A card by its name, as people or drivers write it: "h200", "NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB".

    `capability`: the driver's; a card with another one is another card, whatever its name. Raises InputError with the
    nearest names.
    """
    asked = _plain(name)
    cards = [gpu for gpu in GPUS.values() if capability in (None, gpu.capability)]
    if exact := [gpu for gpu in cards if _plain(gpu.name) == asked]:
        return exact[0]
    # A driver's name has more words than ours; the longest of ours that it holds is the nearest.
    words = asked.split()
    held = [gpu for gpu in cards if _within(_plain(gpu.name).split(), words)]
    # Words that make another card of a name are not decoration.
    if held and not {"ti", "super", "laptop", "mobile", "max", "ada", "d", "nvl"} & (
        set(words) - set(_plain(max(held, key=_length).name).split())
    ):
        return max(held, key=_length)
    near = difflib.get_close_matches(asked, [_plain(n) for n in GPUS], n=3, cutoff=0.4)
    names = [gpu.name for plain in near for gpu in GPUS.values() if _plain(gpu.name) == plain]
    hint = f"the nearest names are {', '.join(names)}" if names else "that is no name like any"
    raise InputError(f"no peak numbers are known of a GPU {name!r}; {hint}; known are {', '.join(GPUS)}, and {HERE}")


def _plain(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower())
    words = re.sub(r"\b(nvidia|geforce|tesla|generation|sxm\d?|80gb|hbm\d\w?)\b", " ", words)
    words = re.sub(r"\b(rtx|gtx)(\d)", r"\1 \2", words)
    return " ".join(words.split())


def _within(few: list[str], many: list[str]) -> bool:
    return set(few) <= set(many)


def _length(gpu: Gpu) -> int:
    return len(gpu.name)
