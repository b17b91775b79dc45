"""Graphs on another device, in a process of its own: opened there once, then run call by call.

    python -m engines.device_process FD

is the other end; whoever begins it passes the socket FD. A message is a small tuple, then the arrays as they are. What
goes wrong there is raised here by its own name, and a process that ends takes nothing with it but its call. It ends
when the socket does: with whoever began it, however that ended.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from engines import errors
from engines.errors import HpTrtError, InternalError
from engines.families import Provider
from engines.spec import NetworkSpec

_END_S = 5.0
_Arrays = Mapping[str, np.ndarray]


class DeviceProcess:
    """A process that has one device. For any thread: calls wait for one another.

    `threads`: of the CPU. Raises what opening the device raises there.
    """

    def __init__(self, provider: Provider, device_id: int, threads: int) -> None:
        self._device_id, self._turn, self._closed = device_id, threading.Lock(), False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engines.device_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for whoever waits for the result
            )
        self._socket = Connection(ours.detach())
        try:
            self._asked("open", provider, device_id, threads, what="it was opened")
        except BaseException:
            self.close()
            raise

    def load(self, spec: NetworkSpec, path: Path, threads: int) -> int:
        """Open a graph there, and give its number. Raises what `Backend.load` raises."""
        with self._turn:
            number: int = self._asked("load", spec, path, threads, what=f"{spec.name} was opened")
            return number

    def run(self, graph: str, number: int, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Run one, whose results are written to `outputs`, contiguous. Raises what `Session.run` raises."""
        with self._turn:
            self._asked("run", number, _said(outputs), arrays=inputs, results=outputs, what=f"{graph} ran")

    def close(self) -> None:
        """End it. Twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _asked(
        self,
        *message: Any,
        what: str,
        arrays: Mapping[str, np.ndarray] | None = None,
        results: Mapping[str, np.ndarray] | None = None,
    ) -> Any:
        try:
            self._socket.send((*message, _said(arrays or {})))
            _send(self._socket, arrays or {})
            said, answer = self._socket.recv()
            if said == "done":
                for array in (results or {}).values():
                    self._socket.recv_bytes_into(array.reshape(-1).view(np.uint8))
                return answer
        except (EOFError, OSError) as error:
            raise InternalError(
                f"the process of device {self._device_id} was ended while {what} ({self._ended()}): it may have had "
                "too little memory; try again, or leave that device out"
            ) from error
        except BaseException:
            self._socket.close()  # who is interrupted here has not read the answer, and the next call must not get it
            raise
        kind, text = answer
        known = getattr(errors, kind, None) if said == "known" else None
        if known is None:
            raise InternalError(f"device {self._device_id} failed while {what}: {kind}: {text}")
        raise known(text)

    def _ended(self) -> str:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


class _Device:
    """The other end: a backend and what it has opened."""

    def __init__(self, socket_: Connection) -> None:
        self._socket = socket_
        self._backend: Any = None
        self._opened: list[Any] = []

    def serve(self) -> None:
        """Answer until nobody asks any more."""
        while True:
            try:
                word, *words, said = self._socket.recv()
                arrays = _received(self._socket, said)
            except (EOFError, OSError):
                return
            made: _Arrays = {}
            try:
                answer, made = getattr(self, f"_{word}")(*words, arrays)
                told = ("done", answer)
            except HpTrtError as error:
                told = ("known", (type(error).__name__, str(error)))
            except Exception as error:
                told = ("unknown", (type(error).__name__, str(error)))
            try:
                self._socket.send(told)
                _send(self._socket, made)
            except OSError:
                return

    def _open(self, provider: Provider, device_id: int, threads: int, _: object) -> tuple[None, _Arrays]:
        from engines.onnx_backend import OnnxBackend

        self._backend = OnnxBackend(provider=provider, threads=threads, device_id=device_id)
        return None, {}

    def _load(self, spec: NetworkSpec, path: Path, threads: int, _: object) -> tuple[int, _Arrays]:
        self._opened.append(self._backend.load(spec, path, threads=threads))
        return len(self._opened) - 1, {}

    def _run(
        self, number: int, outputs: Mapping[str, tuple[Sequence[int], str]], inputs: Mapping[str, np.ndarray]
    ) -> tuple[None, _Arrays]:
        made = {name: np.empty(tuple(shape), dtype) for name, (shape, dtype) in outputs.items()}
        self._opened[number].run(inputs, made)
        return None, made


def _said(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, array.dtype.str) for name, array in arrays.items()}


def _send(socket_: Connection, arrays: Mapping[str, np.ndarray]) -> None:
    for array in arrays.values():
        socket_.send_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _received(socket_: Connection, said: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (shape, dtype) in said.items():
        arrays[name] = np.empty(shape, dtype)
        socket_.recv_bytes_into(arrays[name].reshape(-1).view(np.uint8))
    return arrays


def main() -> None:
    _Device(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
