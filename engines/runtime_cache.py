"""The kernels that TensorRT for RTX compiles on a GPU, kept beside the bundle, so that the next process need not.

A plan for TensorRT for RTX is not yet code for a card: its kernels are compiled at the first run of each shape, while
the caller waits. The file is worth that time and nothing else. So one that is damaged, or another GPU's, version's or
driver's, is set aside and never an error, and a place that cannot be written costs a note.

`BUNDLE.cache/tensorrt-rtx-KEY.kernels` stands beside `BUNDLE`, which stays as it was built; KEY is of all that the
kernels depend on.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from engines.errors import HpTrtError
from engines.gpu import Gpu
from engines.headed_file import read_headed, write_headed
from engines.part_file import try_place

MAGIC = "hp-trt kernels"


class KernelFile:
    """One file of kernels. `note`: for people, why it is not what it could be; empty where all is well."""

    def __init__(self, path: Path, facts: dict[str, str]) -> None:
        self.path, self._facts = path, facts
        self.note = ""
        self._read = b""

    def read(self) -> bytes:
        """What was kept, ready for the library; empty where there is nothing, or nothing that may be read."""
        try:
            header, self._read = read_headed(self.path, MAGIC)
        except FileNotFoundError:
            return b""
        except (OSError, ValueError) as error:
            self.set_aside(str(error))
            return b""
        wrong = [name for name, value in self._facts.items() if header.get(name) != value]
        if wrong:
            self.set_aside(", ".join(f"its {name} is {header.get(name)}, here {self._facts[name]}" for name in wrong))
            self._read = b""
        return self._read

    def set_aside(self, why: str) -> None:
        """Under another name, where the one before is replaced: somebody may want to look."""
        self._read = b""
        aside = self.path.with_name(f"{self.path.name}.aside")
        try:
            self.path.replace(aside)
            self.note = f"kept kernels were set aside as {aside} ({why}): they are compiled again"
        except OSError as error:
            self.note = f"{self.path} cannot be used ({why}) nor moved away ({error.strerror}): kernels are not kept"

    def can_keep(self) -> bool:
        """Whether the place can be written, told while somebody still reads notes."""
        try:
            self.path.parent.mkdir(exist_ok=True)
            try_place(self.path)
        except (OSError, HpTrtError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.note = f"the kernels that TensorRT for RTX compiles cannot be kept in {self.path.parent}: {why}"
            return False
        return True

    def keep(self, blob: bytes) -> None:
        """Replace the file, where `blob` is new. Never raises: all that is lost is the next process's time."""
        if not blob or blob == self._read:
            return
        try:
            write_headed(self.path, MAGIC, self._facts, blob)
            self._read = blob
        except (OSError, HpTrtError) as error:
            self.note = f"compiled kernels were not kept: {error}"


def kernel_file(bundle: Path, version: str, gpu: Gpu) -> KernelFile:
    """Of a bundle's plans on this GPU. `version`: of TensorRT for RTX, in full."""
    facts = {
        "version": version,
        "gpu": gpu.name,
        "capability": gpu.capability,
        "driver": ".".join(map(str, gpu.driver_cuda)),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    folder = bundle.resolve()
    return KernelFile(folder.with_name(f"{folder.name}.cache") / f"tensorrt-rtx-{key}.kernels", facts)
