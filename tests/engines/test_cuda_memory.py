"""Buffers over a device that fails on use after free, unordered access and leaks."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from engines import cuda_memory
from engines.cuda_buffers import CudaBuffers, runs
from engines.cuda_order import Stream, ordered
from engines.errors import EngineMismatch, InternalError
from tests.engines.fake_cuda import FakeDriver, Race

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")  # finalizers that complain


@pytest.fixture
def driver():
    return FakeDriver()


@pytest.fixture
def device(driver):
    """Closed and found clean after the test."""
    with CudaBuffers(driver) as device:
        yield device
    gc.collect()
    driver.require_clean()


def numbers(*shape, dtype="float32"):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
def test_what_goes_up_comes_down(device, dtype):
    array = (numbers(3, 5) > 0).astype(dtype)
    buffer = device.upload(array)
    assert (buffer.shape, buffer.dtype) == ((3, 5), dtype)
    np.testing.assert_array_equal(device.download(buffer), array)


def test_an_array_that_is_not_contiguous_goes_up_as_it_reads(device):
    array = numbers(4, 6).T[::2]
    np.testing.assert_array_equal(device.download(device.upload(array)), array)


def test_a_view_shares_memory_and_keeps_it(device):
    buffer = device.upload(numbers(5, 3))
    view = device.view(device.view(buffer, 1, 5), 1, 3)
    del buffer
    gc.collect()
    device.upload(np.zeros((5, 3), np.float32))  # would take the memory if it were free
    np.testing.assert_array_equal(device.download(view), numbers(5, 3)[2:4])


def test_zeros_are_zeros_in_memory_that_was_used(device):
    device.upload(np.ones(100, np.float32))
    assert not device.download(device.zeros((100,), "float32")).any()


@pytest.mark.parametrize("indices", [[0], [4, 0, 1, 2, 2], [3, 4, 0, 1], list(range(5))])
def test_frames_are_gathered_by_one_copy_a_run(device, driver, indices):
    array = numbers(5, 2, 3)
    source, out = device.upload(array), device.empty((1, len(indices), 2, 3), "float32")
    before = driver.calls["memcpy_async"]
    device.take(source, indices, out)
    assert driver.calls["memcpy_async"] - before == len(runs(indices))
    np.testing.assert_array_equal(device.download(out)[0], array[indices])


def test_runs_are_split_where_indices_jump():
    assert runs([7, 8, 0, 1, 2, 2]) == [(7, 2), (0, 3), (2, 1)]


def test_streams_may_be_chosen_freely(device):
    """Every pair of streams, reading and writing the same buffers: the driver would raise Race."""
    a, b = device.upload(numbers(4, 3)), device.upload(numbers(4, 3) + 1)
    expected = [numbers(4, 3), numbers(4, 3) + 1]
    for i, name in enumerate(("denoise", "decode", "copy_in", "copy_out", "decode", "denoise")):
        with device.stream(name):
            source, out = (a, b) if i % 2 else (b, a)
            device.take(source, [3, 2, 1, 0], out)
            expected[1 if i % 2 else 0] = expected[0 if i % 2 else 1][::-1]
    np.testing.assert_array_equal(device.download(a), expected[0])
    np.testing.assert_array_equal(device.download(b), expected[1])


def test_without_the_waits_the_same_would_be_a_race(device, monkeypatch):
    """What the tests above prove hangs on `Stream.after`: without it, the driver objects."""
    monkeypatch.setattr(Stream, "after", lambda self, mark: None)
    with pytest.raises(Race):
        device.download(device.upload(numbers(4)))


def test_a_writer_waits_for_all_readers(device, driver):
    source = device.upload(numbers(4))
    outs = []
    for name in ("denoise", "decode"):
        with device.stream(name):
            outs.append(device.empty((4,), "float32"))
            device.take(source, range(4), outs[-1])
    with device.stream("copy_in"):
        device.take(outs[0], range(4), source)


def test_a_stream_waits_once_for_one_place_in_another(device, driver):
    source, out = device.upload(numbers(4)), device.empty((4,), "float32")
    device.take(source, range(4), out)
    before = driver.calls["stream_wait"]
    device.take(source, range(4), out)
    assert driver.calls["stream_wait"] == before


def test_marks_come_after_an_error_too(device, driver):
    one, two = device.streams["denoise"], device.streams["decode"]
    memory = device.empty((4,), "float32").lease.memory

    def half_done():
        with ordered(one, writes=[memory]):
            driver.memset_async(memory.address, 0, 4, one.handle)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    with ordered(two, writes=[memory]):
        driver.memset_async(memory.address, 0, 4, two.handle)


def test_memory_is_used_again_without_stopping_the_host(device, driver):
    for i in range(50):
        with device.stream("decode" if i % 2 else "denoise"):
            device.zeros((1000,), "float32")
    assert driver.calls["malloc"] == 2  # one a stream: neither waits for the other
    assert driver.calls["event_synchronize"] == 0


def test_sizes_that_take_turns_keep_their_memory(device, driver):
    for _ in range(20):
        for length in (100_000, 1_000_000, 300_000, 2_000_000):
            device.upload(np.zeros(length, np.uint8))
            device.synchronize()
    assert [driver.calls[kind] for kind in ("malloc", "host_alloc")] == [4, 4]
    assert [driver.calls[kind] for kind in ("free", "host_free")] == [0, 0]


def test_of_what_is_idle_no_more_is_kept_than_was_in_use_at_one_time(device, driver, monkeypatch):
    """Clips of many lengths, one after the other; what has been idle longest goes."""
    monkeypatch.setattr(cuda_memory, "_SPARE", 0)
    for length in (100_000, 1_000_000, 300_000, 2_000_000, 700_000, 1_400_000, 3_000_000, 200_000):
        buffer = device.zeros((length,), "uint8")
        del buffer
        device.synchronize()
    assert driver.peak_bytes <= 2.01 * 3_000_000
    freed = driver.calls["free"]
    assert freed
    device.zeros((200_000,), "uint8")
    assert driver.calls["free"] == freed


def test_what_nobody_asks_for_goes_in_time(device, driver):
    device.zeros((1_000_000,), "uint8")
    device.synchronize()
    for _ in range(cuda_memory._OLD + 3):
        device.empty((1,), "uint8")
    assert driver.used_bytes < 200_000


def test_where_the_device_says_no_what_is_idle_makes_room(driver):
    driver.total_bytes = 1_000_000
    with CudaBuffers(driver) as device:
        device.zeros((600_000,), "uint8")
        kept = device.zeros((300_000,), "uint8")
        large = device.zeros((650_000,), "uint8")
        assert not device.download(large).any()
        with pytest.raises(EngineMismatch, match=r"0\.00 GB of GPU memory were wanted"):
            device.zeros((400_000,), "uint8")
        assert not device.download(kept).any()
    driver.require_clean()


def test_a_stream_is_given_memory_that_others_have_done_with(device, driver):
    """The buffer that the network just read is the first that would fit; decoding takes another one."""
    streams = device.streams
    x = device.zeros((200_000,), "uint8")
    del x
    with device.stream("decode"):
        device.zeros((200_000,), "uint8")
    assert not driver.waits_for(streams["decode"].handle, streams["denoise"].handle)


def test_pieces_that_are_busy_elsewhere_are_few(device, driver):
    with device.stream("decode"):
        out = device.empty((200_000,), "uint8")
        for _ in range(20):
            device.take(device.upload(np.zeros(200_000, np.uint8)), range(200_000), out)
    assert driver.calls["malloc"] <= 1 + cuda_memory._BUSY


def test_events_are_used_again(device, driver):
    for _ in range(100):
        device.zeros((10,), "float32")
    assert driver.calls["event_create"] < 5


def test_a_fetch_does_not_stop_the_host_and_takes_what_was_there(device, driver):
    buffer = device.upload(numbers(4))
    pending = device.fetch(buffer)
    device.take(device.upload(numbers(4) + 1), range(4), buffer)
    assert driver.calls["event_synchronize"] == 0
    np.testing.assert_array_equal(pending.wait(), numbers(4))
    assert pending.wait() is pending.wait()


def test_an_array_keeps_its_numbers_while_others_come_down(device, driver):
    first = device.download(device.upload(numbers(4, 3)))
    row = first[1]
    del first
    for _ in range(3):
        device.download(device.upload(np.zeros((4, 3), np.float32)))
    np.testing.assert_array_equal(row, numbers(4, 3)[1])
    row[:] = 7  # the caller's to change
    assert driver.calls["host_alloc"] <= 3


def test_pinned_memory_comes_back_when_arrays_go(device, driver):
    buffer = device.upload(numbers(1000))
    for _ in range(20):
        device.download(buffer)
    assert driver.calls["host_alloc"] == 2  # one for the upload, which nobody has waited for yet


def test_many_uploads_in_a_row_share_few_pieces_of_pinned_memory(device, driver):
    kept = [device.upload(np.full(100_000, i, np.float32)) for i in range(20)]
    assert driver.calls["host_alloc"] == 8
    small = [device.upload(np.full(10, i, np.float32)) for i in range(40)]
    assert driver.calls["host_alloc"] == 8 + 16
    assert [device.download(buffer)[0] for buffer in (*kept, *small)] == [*range(20), *range(40)]


def test_of_busy_pieces_the_one_that_was_used_first_is_waited_for(device, driver):
    copies, queued = device.streams["copy_in"].handle, []
    for size in (100_000, *[90_000] * 7):  # the larger one is ready first
        device.upload(np.zeros(size, np.uint8))
        queued.append(driver.done_by(copies))
    device.upload(np.zeros(85_000, np.uint8))  # either would do
    assert [driver.is_over(copies, count) for count in queued] == [True] + [False] * 7
    assert driver.calls["host_alloc"] == 8


def test_arrays_outlive_the_backend_and_their_memory_goes_with_them(driver):
    device = CudaBuffers(driver)
    pending, array = device.fetch(device.upload(numbers(4))), device.download(device.upload(numbers(4) + 1))
    device.close()
    device.close()
    np.testing.assert_array_equal(pending.wait(), numbers(4))
    np.testing.assert_array_equal(array, numbers(4) + 1)
    assert driver.pinned_bytes > 0
    del pending, array
    gc.collect()
    assert driver.pinned_bytes == 0
    driver.require_clean()


def test_buffers_that_are_left_are_freed_with_the_backend_and_of_no_more_use(driver):
    device = CudaBuffers(driver)
    buffer = device.upload(numbers(4))
    device.close()
    driver.require_clean()
    for use in (lambda: device.fetch(buffer), lambda: device.upload(numbers(4)), lambda: device.zeros((1,), "int64")):
        with pytest.raises(InternalError, match="the backend is closed; open another"):
            use()


def test_too_little_memory_says_how_much_would_fit():
    driver = FakeDriver(total_bytes=3_000_000_000)
    with (
        CudaBuffers(driver) as device,
        pytest.raises(
            EngineMismatch,
            match=r"4\.00 GB of GPU memory were wanted, 3\.00 of 3\.00 GB are free; .* 3\.00 GB would fit",
        ),
    ):
        device.empty((1_000_000_000,), "float32")


def test_spans_tell_what_ran_where_and_start_anew(driver):
    with CudaBuffers(driver, trace=True) as device:
        device.download(device.upload(numbers(4)))
        spans = device.spans()
        assert [(span.name, span.stream) for span in spans] == [("upload", "copy_in"), ("download", "copy_out")]
        assert all(span.seconds > 0 for span in spans)
        assert spans[1].start_s >= spans[0].start_s + spans[0].seconds
        assert device.spans() == []
    driver.require_clean()


def test_without_a_trace_there_are_no_timed_events(device, driver):
    device.download(device.upload(numbers(4)))
    assert device.spans() == []
    assert driver.timed_events == 0
