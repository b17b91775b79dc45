from __future__ import annotations

import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.faces.arcface import open_arcface


def test_a_file_that_is_missing_or_no_network_is_an_input_error(tmp_path):
    path = tmp_path / "arcface.onnx"
    with pytest.raises(InputError, match="no such file; give arcface"):
        open_arcface(path)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="is not an ONNX network"):
        open_arcface(path)


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_it_says_how_to_install_it(tmp_path):
    path = tmp_path / "arcface.onnx"
    path.touch()
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        open_arcface(path)
