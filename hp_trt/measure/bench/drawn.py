"""What measurements on drawn driving frames share: what they are asked for with, and frames without an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import Auto, FamilyName, Provider
from hp_trt.config import RuntimeConfig
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.bench import machine
from hp_trt.models import find_model
from hp_trt.profiles import Profile

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class DrawnConfig:
    """A bundle, and on what it runs."""

    bundle: Path
    threads: int | None = None  # None: every core
    family: FamilyName | Auto = "onnxruntime"
    provider: Provider = "cpu"
    device_id: int = 0

    def settled(self, option: str) -> Self:
        """This with the family that `auto` stands for.

        Raises InputError unless a driving video moves the bundle's portraits: `option` measures those.
        """
        require_video(self.bundle, option)
        return replace(self, family=settled_family(self.bundle, self.family, self.device_id))

    def runtime(self, profile: Profile | str) -> RuntimeConfig:
        return RuntimeConfig(
            family=self.family,
            provider=self.provider,
            device_id=self.device_id,
            threads=self.threads,
            profile=profile,
        )

    def machine(self) -> dict[str, Any]:
        """For a report, as in `runtime.bench`."""
        return {**machine.facts(), "family": self.family, "provider": self.provider, "threads": self.threads}


def require_video(path: Path, option: str) -> None:
    """Raises InputError unless a driving video moves the portraits of the bundle in `path`: `option` measures those."""
    bundle = Bundle.open(path, family="")
    if find_model(bundle).driver != "video":
        raise InputError(
            f"{option} is of drawn driving videos, and {path} is for {bundle.manifest.model}, whose portraits are "
            "moved by speech; leave it out, which measures one profile, or take a bundle that a video drives"
        )


def there_and_back(images: Sequence[Item]) -> list[Item]:
    """Forwards and backwards, to be repeated so that nothing leaps."""
    return [*images, *images[-2:0:-1]]
