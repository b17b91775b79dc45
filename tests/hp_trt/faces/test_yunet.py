from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.faces.yunet import YuNetLocator


def test_a_file_that_is_no_yunet_is_an_input_error(tmp_path):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="not a YuNet network"):
        YuNetLocator(path)
