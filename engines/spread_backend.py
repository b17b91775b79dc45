"""One clip on several devices: calls that do not need each other's results run on whichever is free.

This process has the first device and all buffers, which are in host memory; of each other device there is a process
(`device_process`) with the same graphs open. A window's inputs go there and its velocity comes back: 64 KB a frame of
latents at 512 pixels, tokens beside them. The loop knows nothing of it but that so many `calls` may run at one time.

The same engine on the same kind of device makes the same bits, so which one was free changes nothing. Kinds are not
mixed: what one call makes would depend on where it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from engines.backend import Buffer
from engines.cores import available_cores
from engines.device_process import DeviceProcess
from engines.errors import EngineMismatch
from engines.families import Provider
from engines.gpu import require_gpu
from engines.host_memory import array_of, output_arrays
from engines.onnx_backend import OnnxBackend, OnnxSession
from engines.spec import NetworkSpec

_Run = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], object]


class SpreadBackend(OnnxBackend):
    """ONNX Runtime on `devices`, at least two, each once: GPUs by number, or of a CPU that many processes.

    `threads`: of each process; by default its share of the cores. What is opened with `calls` above 1 is opened on all
    of them, everything else on the first alone. Raises EngineMismatch for devices that are not of one kind.
    """

    def __init__(self, devices: Sequence[int], *, provider: Provider = "cpu", threads: int | None = None) -> None:
        if provider == "cuda":
            check_kinds(devices)
        share = threads or max(available_cores() // len(devices), 1)
        super().__init__(provider=provider, threads=share, device_id=devices[0])
        self.calls = len(devices)
        self.device = f"{len(devices)} devices, each {self.device}" if provider == "cpu" else f"CUDA devices {devices}"
        self._others: list[DeviceProcess] = []
        with ExitStack() as begun:
            for device in devices[1:]:
                self._others.append(DeviceProcess(provider, device, self.threads))
                begun.callback(self._others[-1].close)
            self._end = begun.pop_all()

    def load(  # type: ignore[override]
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> OnnxSession | SpreadSession:
        """See `engines.backend.Backend.load`."""
        if calls == 1:
            return super().load(spec, path, weights, threads=threads, bf16=bf16)
        each = threads or self.threads
        with ThreadPoolExecutor(len(self._others)) as pool:
            there = [pool.submit(other.load, spec, path, each) for other in self._others]
            here = super().load(spec, path, weights, threads=each, bf16=bf16)
            numbers = [future.result() for future in there]
        runs = [partial(other.run, spec.name, number) for other, number in zip(self._others, numbers, strict=True)]
        return SpreadSession(here, runs)

    def close(self) -> None:
        """End the processes."""
        self._end.close()
        super().close()


class SpreadSession:
    """One graph that is open on several devices. As many of its runs may go on at one time, from as many threads."""

    def __init__(self, here: OnnxSession, others: Sequence[_Run]) -> None:
        self.spec = here.spec
        self._here = here
        self._free: SimpleQueue[_Run] = SimpleQueue()
        for run in (here.run, *others):
            self._free.put(run)

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """See `engines.backend.Session.run`."""
        given = {tensor.name: array_of(inputs[tensor.name]) for tensor in self.spec.inputs}
        made = output_arrays(self.spec, self.spec.check_inputs(inputs), outputs)
        run = self._free.get()
        try:
            run(given, made)
        finally:
            self._free.put(run)
        return dict(made)

    def close(self) -> None:
        self._here.close()


def check_kinds(devices: Sequence[int]) -> None:
    """Raises EngineMismatch for a GPU that cannot be used, and for GPUs of different kinds."""
    gpus = [require_gpu(device) for device in devices]
    for gpu in gpus[1:]:
        if (gpu.name, gpu.capability) != (gpus[0].name, gpus[0].capability):
            raise EngineMismatch(
                f"device {gpus[0].index} is {gpus[0].name} of capability {gpus[0].capability}, device {gpu.index} is "
                f"{gpu.name} of {gpu.capability}; the windows of one clip need one kind: name devices of one"
            )
