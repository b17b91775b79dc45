"""Arrays in files: as numpy writes them, and with the system's reason where a disk refuses."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from engines.array_file import save_array


@pytest.mark.parametrize("array", [np.arange(12.0).reshape(3, 4), np.zeros((0, 2), np.uint8), np.arange(9).T[::2]])
def test_the_file_is_the_one_that_numpy_writes(tmp_path, array):
    save_array(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_full_disk_is_told_with_its_reason():
    with pytest.raises(OSError, match="No space left") as told:
        save_array(Path("/dev/full"), np.zeros(1 << 20))
    assert told.value.errno == errno.ENOSPC
