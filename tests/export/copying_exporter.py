"""`python -m tests.export.copying_exporter BUNDLE ...`: the build command with the tests' presets, and an exporter that
copies what BUNDLE holds. For tests of starting, killing and printing: everything but the export itself is real."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

import export.graphs.build_graph
from engines.bundle import Bundle
from export.build_engines import main
from tests.export.tiny import SMALL, TINY, make_known

COPIED = "HP_TRT_TEST_COPIED"  # in the environment: BUNDLE, for the second process of a build
EXPORT_S = 1.0  # as a real one it takes a while, in which it can be killed


def copy_from(bundle: Bundle, seconds: float = 0.0):
    """What takes the place of `export_onnx`."""

    def export_onnx(module, spec, example, path: Path) -> None:
        time.sleep(seconds)
        for file in (bundle.path / bundle.manifest.graphs[spec.name].folder).glob(f"{spec.name}.onnx*"):
            shutil.copy(file, path.parent / file.name)

    return export_onnx


if __name__ in ("__main__", "__mp_main__"):  # a second process imports its program under the other name
    if __name__ == "__main__":
        os.environ[COPIED] = sys.argv.pop(1)
    make_known(pytest.MonkeyPatch(), TINY, SMALL)  # until this process ends
    export.graphs.build_graph.export_onnx = copy_from(Bundle.open(os.environ[COPIED]), EXPORT_S)

if __name__ == "__main__":
    main()
