"""Codes become exceptions, and the calls take what we give them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engines.cuda_buffers import CudaBuffers
from engines.cuda_driver import CudaDriver, Driver
from engines.errors import EngineMismatch, InternalError
from engines.gpu import Gpu, find_gpu
from tests.engines.fake_cuda import FakeDriver

CALLS = {
    "malloc": (16,), "free": (0,), "host_alloc": (16,), "host_free": (0,), "memcpy_async": (512, 1024, 4, "d2d", 0),
    "memset_async": (512, 0, 4, 0), "stream_create": (), "stream_destroy": (1,), "stream_synchronize": (1,),
    "stream_wait": (1, 2), "event_create": (), "event_destroy": (1,), "event_record": (1, 2), "event_query": (1,),
    "event_synchronize": (1,), "event_elapsed_s": (1, 2), "capture_begin": (1,), "capture_end": (1,),
    "graph_instantiate": (1,), "graph_launch": (1, 2), "graph_destroy": (1,), "executable_destroy": (1,),
    "memory_info": (),
}  # fmt: skip


class Cuda:
    """The module, as far as `answers` go: call -> (code, values...)."""

    def __init__(self, **answers):
        codes = ("cudaSuccess", "cudaErrorMemoryAllocation", "cudaErrorNotReady", "cudaErrorIllegalAddress")
        self.cudaError_t = SimpleNamespace(**{name: SimpleNamespace(name=name) for name in codes})
        kinds = ("cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice")
        self.cudaMemcpyKind = SimpleNamespace(**{name: name for name in kinds})
        self.cudaHostAllocDefault = self.cudaEventDefault = 0
        self.answers = {"cudaSetDevice": ("cudaSuccess",), "cudaGetLastError": ("cudaSuccess",), **answers}
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            code, *values = self.answers[name]
            return (getattr(self.cudaError_t, code), *values)

        return call


class DeviceChosen:
    """The real module, as if it had found the device that is chosen."""

    def __init__(self, module):
        self.module = module
        self.cudaSetDevice = lambda device: (module.cudaError_t.cudaSuccess,)

    def __getattr__(self, name):
        return getattr(self.module, name)


def test_a_code_names_its_call():
    driver = CudaDriver(cuda=Cuda(cudaStreamSynchronize=("cudaErrorIllegalAddress",)))
    with pytest.raises(InternalError, match=r"^cudaStreamSynchronize failed: cudaErrorIllegalAddress$"):
        driver.stream_synchronize(1)


def test_out_of_memory_says_how_much_was_wanted_and_what_would_fit():
    cuda = Cuda(
        cudaMalloc=("cudaErrorMemoryAllocation", None), cudaMemGetInfo=("cudaSuccess", 2_000_000_000, 8_000_000_000)
    )
    with pytest.raises(EngineMismatch, match=r"^3\.00 GB of GPU memory were wanted, 2\.00 of 8\.00 GB are free; close"):
        CudaDriver(cuda=cuda).malloc(3_000_000_000)
    assert ("cudaGetLastError",) in cuda.calls  # or the next call would be blamed for it


def test_out_of_pinned_memory_is_the_hosts():
    cuda = Cuda(cudaHostAlloc=("cudaErrorMemoryAllocation", None))
    with pytest.raises(EngineMismatch, match=r"3\.00 GB of pinned host memory cannot be had; let go of frames"):
        CudaDriver(cuda=cuda).host_alloc(3_000_000_000)


@pytest.mark.parametrize(("urgent", "priority"), [(True, -5), (False, 0)])
def test_an_urgent_stream_has_the_greatest_priority_and_the_others_the_least(urgent, priority):
    cuda = Cuda(
        cudaDeviceGetStreamPriorityRange=("cudaSuccess", 0, -5), cudaStreamCreateWithPriority=("cudaSuccess", 77)
    )
    cuda.cudaStreamNonBlocking = 1
    assert CudaDriver(cuda=cuda).stream_create(urgent=urgent) == 77
    assert cuda.calls[-1] == ("cudaStreamCreateWithPriority", 1, priority)


def test_decoding_and_copies_go_before_denoising():
    driver = FakeDriver()
    with CudaBuffers(driver) as device:
        urgent = {name for name, stream in device.streams.items() if stream.handle in driver.urgent}
    assert urgent == {"copy_in", "decode", "copy_out"}


def test_an_event_that_has_not_happened_is_no_error_and_leaves_none():
    waiting = Cuda(cudaEventQuery=("cudaErrorNotReady",))
    assert CudaDriver(cuda=waiting).event_query(1) is False
    assert waiting.calls[-1] == ("cudaGetLastError",)  # or a library that looks would take it for its own
    assert CudaDriver(cuda=Cuda(cudaEventQuery=("cudaSuccess",))).event_query(1) is True
    with pytest.raises(InternalError, match="cudaEventQuery failed"):
        CudaDriver(cuda=Cuda(cudaEventQuery=("cudaErrorIllegalAddress",))).event_query(1)


def test_an_error_is_cleared_by_asking_for_it():
    cuda = Cuda(cudaGetLastError=("cudaErrorIllegalAddress",))
    CudaDriver(cuda=cuda).clear_error()
    assert cuda.calls[-1] == ("cudaGetLastError",)


def test_milliseconds_become_seconds():
    assert CudaDriver(cuda=Cuda(cudaEventElapsedTime=("cudaSuccess", 1500.0))).event_elapsed_s(1, 2) == 1.5


def test_each_thread_chooses_the_device_once():
    cuda = Cuda(cudaMemGetInfo=("cudaSuccess", 1, 2))
    driver = CudaDriver(3, cuda=cuda)
    assert driver.memory_info() == driver.memory_info() == (1, 2)
    assert cuda.calls.count(("cudaSetDevice", 3)) == 1


@pytest.mark.skipif(isinstance(find_gpu(), Gpu), reason="would do these things")
def test_the_real_calls_take_whole_numbers():
    """Without a driver each answers with a code; one that did not take its arguments would raise TypeError."""
    driver = CudaDriver(cuda=DeviceChosen(pytest.importorskip("cuda.bindings.runtime")))
    for name, arguments in CALLS.items():
        with pytest.raises(InternalError, match="failed: cudaError"):
            getattr(driver, name)(*arguments)
    with pytest.raises(InternalError, match="cudaEventCreateWithFlags failed"):
        driver.event_create(timed=True)
    driver.clear_error()


def test_the_fake_has_the_calls_of_the_protocol_and_so_does_the_list_above():
    names = {name for name in vars(Driver) if not name.startswith("_")}
    assert names == set(CALLS) | {"host_view", "make_current", "clear_error"}
    assert all(callable(getattr(kind, name)) for kind in (FakeDriver, CudaDriver) for name in names)


@pytest.mark.gpu
def test_buffers_on_a_real_device():
    with CudaBuffers(CudaDriver(), trace=True) as device:
        array = np.random.default_rng(0).standard_normal((64, 1000)).astype(np.float32)
        source, out = device.upload(array), device.zeros((64, 1000), "float32")
        for name in ("denoise", "decode"):
            with device.stream(name):
                device.take(source, [*range(32, 64), *range(32)], out)
                source, out = out, source
        np.testing.assert_array_equal(device.download(source), array)
        assert {span.name for span in device.spans()} == {"upload", "download"}


@pytest.mark.gpu
def test_a_graph_on_a_real_device():
    driver = CudaDriver()
    with CudaBuffers(driver) as device:
        buffer, stream = device.zeros((256,), "uint8"), device.current
        driver.capture_begin(stream.handle)
        driver.memset_async(buffer.address, 7, 256, stream.handle)
        graph = driver.capture_end(stream.handle)
        executable = driver.graph_instantiate(graph)
        driver.graph_destroy(graph)
        assert not device.download(buffer).any()
        driver.graph_launch(executable, stream.handle)
        device.synchronize()
        assert (device.download(buffer) == 7).all()
        driver.executable_destroy(executable)
