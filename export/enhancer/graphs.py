"""The graphs of an enhancer's bundle, in the order in which they are built.

All of them take and give float32, whatever they compute in. Letters: F frames of a window, B faces, H, W pixels, N
anchors of the detector.

Source: SPEC 9.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from export.enhancer.architecture import Architecture
from export.enhancer.networks.detector import ANCHORS, STRIDES
from export.enhancer.networks.parser import Parser
from export.enhancer.networks.upscaler import Upscaler, first_on_pixels
from export.graphs.graph import Graph, spec, tensor
from runtime.enhancer.presets import HALF, SCALE, WINDOW

# Pixels along a side: least, usual, most. Of the upscaler the usual ones are a released tile with its rim (SPEC 9),
# of the detector a wide picture whose short side is the released least one.
TILE = (16, 480, 1024)
DETECTED_HEIGHT, DETECTED_WIDTH = (32, 640, 3840), (32, 1138, 3840)
_PLACES = " + ".join(f"{ANCHORS}*height/{stride}*width/{stride}" for stride in STRIDES)  # rounded up: N


class Enlarging(nn.Module):
    """The upscaler, whose first convolution takes pixels; in whatever its parameters are in."""

    def __init__(self, upscaler: Upscaler) -> None:
        super().__init__()
        weight, bias = first_on_pixels(upscaler.conv_first)
        self.first_weight: Tensor
        self.first_bias: Tensor
        self.upscaler = upscaler
        self.register_buffer("first_weight", weight)
        self.register_buffer("first_bias", bias)

    def forward(self, picture: Tensor) -> Tensor:
        x = picture.to(self.first_weight.dtype)
        return self.upscaler.from_features(F.conv2d(x, self.first_weight, self.first_bias, stride=2, padding=2)).float()


class Parsing(nn.Module):
    """The parser; in whatever its parameters are in."""

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self.parser = parser

    def forward(self, face: Tensor) -> Tensor:
        return self.parser(face.to(self.parser.out_mask_conv.conv2d.weight.dtype)).float()


def bundle_graphs(architecture: Architecture, networks: Collection[str], *, half: bool = False) -> dict[str, Graph]:
    """The graph of each of `networks` by its name, in the order in which they are built."""
    side, classes = architecture.restorer.side, architecture.parser.classes
    picture = [tensor("picture", 1, 3, "height", "width")]
    graphs = (
        Graph(
            spec=spec(
                "enhance_upscaler",
                picture,
                [tensor("enlarged", 1, 3, f"{SCALE}*height", f"{SCALE}*width")],
                height=TILE,
                width=TILE,
            ),
            networks=("upscaler",),
            make=lambda networks: Enlarging(networks("upscaler")),
            ranges_of_input={"picture": (0, 1)},
            uneven=("height", "width"),
        ),
        Graph(
            spec=spec(
                "enhance_restorer",
                [tensor("faces", "frames", 3, side, side), tensor("fidelity", 1)],
                [tensor("restored", "frames", 3, side, side)],
                unit="frames",
                frames=(1, WINDOW, WINDOW),
            ),
            networks=("restorer",),
            make=lambda networks: networks("restorer"),
            ranges_of_input={"faces": (-1, 1), "fidelity": (0, 1)},
            uneven=("frames",),
            chooses_codes=True,
        ),
        Graph(
            spec=spec(
                "enhance_parser",
                [tensor("face", "frames", 3, side, side)],
                [tensor("logits", "frames", classes, side, side)],
                unit="frames",
                frames=(1, 1, WINDOW),
            ),
            networks=("parser",),
            make=lambda networks: Parsing(networks("parser")),
            ranges_of_input={"face": (-1, 1)},
        ),
        Graph(
            spec=spec(
                "enhance_detector",
                picture,
                [
                    tensor("loc", 1, _PLACES, 4),
                    tensor("confidence", 1, _PLACES, 2),
                    tensor("landmark_offsets", 1, _PLACES, 10),
                ],
                height=DETECTED_HEIGHT,
                width=DETECTED_WIDTH,
            ),
            networks=("detector",),
            make=lambda networks: networks("detector"),
            ranges_of_input={"picture": (-123, 151)},
            uneven=("height", "width"),
        ),
    )
    held = (graph for graph in graphs if set(graph.networks) <= set(networks))
    return {graph.name: replace(graph, half=half and graph.name in HALF) for graph in held}
