"""What measurements on drawn driving frames need of a bundle."""

from __future__ import annotations

from pathlib import Path

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.models import find_model


def require_video(path: Path, option: str) -> None:
    """Raises InputError unless a driving video moves the portraits of the bundle in `path`: `option` measures those."""
    bundle = Bundle.open(path, family="")
    if find_model(bundle).driver != "video":
        raise InputError(
            f"{option} is of drawn driving videos, and {path} is for {bundle.manifest.model}, whose portraits are "
            "moved by speech; leave it out, which measures one profile, or take a bundle that a video drives"
        )
