from __future__ import annotations

import subprocess
import sys

import pytest

from engines.cores import available_cores
from hp_trt.measure.bench import machine


@pytest.mark.usefixtures("no_onnx_runtime")
def test_a_machine_without_onnx_runtime_has_facts_too():
    facts = machine.facts()
    assert facts["cores"] == available_cores() and facts["memory_bytes"] > 0


LET_GO = """
import numpy as np
from hp_trt.measure.bench import machine
size, before = 200 << 20, machine.resident_bytes()
held = np.ones(size, np.uint8)
del held
# Nine tenths: what else was resident may have gone meanwhile.
assert machine.peak_bytes() >= before + 0.9 * size, (machine.peak_bytes(), before)
assert 0 < machine.resident_bytes() <= machine.peak_bytes()
"""


def test_memory_that_was_let_go_stays_in_the_peak():
    # In a process of its own: in this one, what other tests leave behind is given back meanwhile.
    subprocess.run([sys.executable, "-c", LET_GO], check=True)
