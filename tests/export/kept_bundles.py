"""Bundles for tests, each built once by the real build, in this session or another (`tests/cache.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.file_record import hash_file
from export.build import BuildConfig, build_bundle
from export.models import find_model
from tests.cache import BUNDLE_CODE, Cache, model_code
from tests.export.cached_exports import cached_exports
from tests.export.hallo2 import tiny as talk
from tests.export.tiny import SMALL, TINY, make_known


def kept_bundle(cache: Cache, **options: Any) -> Path:
    """The folder of the bundle that `BuildConfig(**options)` makes. Read only, and other sessions' too."""
    facts = {key: hash_file(value).sha256 if isinstance(value, Path) else value for key, value in options.items()}

    def build(folder: Path) -> None:
        with cached_exports(cache), pytest.MonkeyPatch.context() as patch:
            make_known(patch, TINY, SMALL)
            talk.make_known(patch, talk.TINY_TALK, talk.TINY_MOODS)
            build_bundle(BuildConfig(bundle=folder / "bundle", **options))

    with pytest.MonkeyPatch.context() as patch:
        make_known(patch, TINY, SMALL)
        talk.make_known(patch, talk.TINY_TALK, talk.TINY_MOODS)
        model = find_model(options["preset"]).name
    code = (*BUNDLE_CODE, *model_code(model), "tests/export/tiny.py", "tests/export/hallo2/tiny.py")
    return cache.entry("bundle", facts, build, code=code) / "bundle"
