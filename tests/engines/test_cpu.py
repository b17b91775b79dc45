"""What a CPU says of itself, as Linux writes it down on x86 and on Arm."""

from __future__ import annotations

import platform

import pytest

from engines import cpu
from engines.cpu import find_cpu

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9B14
flags\t\t: fpu sse2 fma avx2 avx512f avx512_bf16 hypervisor

processor\t: 1
model name\t: another
flags\t\t: amx_bf16
"""
ARM = """processor\t: 0
Features\t: fp asimd evtstrm i8mm bf16 sve
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (X86, "AMD EPYC 9B14", ("avx2", "avx512_bf16", "avx512f", "fma")),
        (ARM, "cpu implementer 0x41 cpu part 0xd40", ("asimd", "bf16", "i8mm", "sve")),
    ],
)
def test_the_first_cores_name_and_its_instructions_for_products_are_read(tmp_path, monkeypatch, text, name, features):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    found = find_cpu()
    assert (found.name, found.features) == (name, features)


def test_a_system_that_does_not_say_has_its_architecture(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert (find_cpu().name, find_cpu().features) == ("arm64", ())
