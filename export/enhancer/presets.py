"""The presets of the enhancer.

`enhancer` is the published one. `enhancer_pocket` is an upscaler of the same structure that a CPU can train and use,
alone. `enhancer_tiny` has every network, as narrow as their structure allows, with the interface of the published ones:
it is for tests, with random weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from export.enhancer.architecture import NETWORKS, Architecture
from export.enhancer.networks.config import DetectorConfig, ParserConfig, RestorerConfig, UpscalerConfig
from runtime.enhancer import presets as facts


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An architecture with the sizes it is used at, and which of its networks there are."""

    name: str
    architecture: Architecture
    networks: tuple[str, ...] = NETWORKS

    @property
    def size(self) -> int:
        """Pixels along a side of a face."""
        return facts.PRESETS[self.name].size

    @property
    def frames(self) -> int:
        """That are restored together."""
        return facts.PRESETS[self.name].frames


_SMALL = UpscalerConfig(features=16, blocks=2, growth=8)
ENHANCER = Preset(name="enhancer", architecture=Architecture())
ENHANCER_POCKET = Preset(name="enhancer_pocket", architecture=Architecture(upscaler=_SMALL), networks=("upscaler",))
ENHANCER_TINY = Preset(
    name="enhancer_tiny",
    architecture=Architecture(
        upscaler=_SMALL,
        restorer=RestorerConfig(
            channels=(4, 4, 4, 4, 4, 8),
            latent=8,
            codebook=16,
            layers=1,
            width=16,
            heads=2,
            mlp=16,
            groups=2,
        ),
        parser=ParserConfig(channels=(4, 8, 8, 8, 8), blocks=1),
        detector=DetectorConfig(layers=(1, 1, 1, 1), stem=4, width=16),
    ),
)
PRESETS: dict[str, Preset] = {p.name: p for p in (ENHANCER, ENHANCER_POCKET, ENHANCER_TINY)}
