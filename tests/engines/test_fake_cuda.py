"""The fake device finds what it is there to find: everything here breaks a rule on purpose."""

from __future__ import annotations

import pytest

from engines.errors import EngineMismatch
from tests.engines.fake_cuda import FakeDriver, Misuse, Operation, Race


@pytest.fixture
def driver():
    return FakeDriver(total_bytes=10_000)


@pytest.fixture
def streams(driver):
    return driver.stream_create(), driver.stream_create()


def test_a_write_after_a_write_of_another_stream_is_a_race_until_an_event_lies_between(driver, streams):
    one, two = streams
    memory = driver.malloc(100)
    driver.memset_async(memory, 1, 100, one)
    with pytest.raises(Race, match=r"set \(writes\) and set at .* unordered"):
        driver.memset_async(memory, 2, 100, two)
    event = driver.event_create()
    driver.event_record(event, one)
    driver.stream_wait(two, event)
    driver.memset_async(memory, 2, 100, two)


def test_an_event_recorded_too_early_orders_nothing(driver, streams):
    one, two = streams
    memory, event = driver.malloc(100), driver.event_create()
    driver.event_record(event, one)
    driver.memset_async(memory, 1, 100, one)
    driver.stream_wait(two, event)
    with pytest.raises(Race):
        driver.memset_async(memory, 2, 100, two)


def test_an_order_through_a_third_stream_is_an_order(driver, streams):
    one, two = streams
    three, memory = driver.stream_create(), driver.malloc(100)
    driver.memset_async(memory, 1, 100, one)
    for before, after in ((one, two), (two, three)):
        event = driver.event_create()
        driver.event_record(event, before)
        driver.stream_wait(after, event)
    driver.memset_async(memory, 2, 100, three)


def test_an_order_through_the_host_is_an_order(driver, streams):
    one, two = streams
    memory = driver.malloc(100)
    driver.memset_async(memory, 1, 100, one)
    driver.stream_synchronize(one)
    driver.memset_async(memory, 2, 100, two)


def test_two_readers_need_no_order_but_a_writer_after_them_does(driver, streams):
    one, two = streams
    source, a, b = (driver.malloc(100) for _ in range(3))
    driver.memcpy_async(a, source, 100, "d2d", one)
    driver.memcpy_async(b, source, 100, "d2d", two)
    with pytest.raises(Race, match=r"set .* and copy d2d"):
        driver.memset_async(source, 0, 100, one)  # after its own read, but not after the other's


def test_halves_of_a_buffer_are_apart_and_overlapping_bytes_are_not(driver, streams):
    one, two = streams
    memory = driver.malloc(100)
    driver.memset_async(memory, 1, 50, one)
    driver.memset_async(memory + 50, 2, 50, two)
    with pytest.raises(Race):
        driver.memset_async(memory + 49, 2, 10, two)


def test_the_host_must_not_look_before_a_copy_has_arrived(driver, streams):
    memory, pinned = driver.malloc(100), driver.host_alloc(100)
    driver.memcpy_async(pinned, memory, 100, "d2h", streams[0])
    with pytest.raises(Race, match="the host"):
        driver.host_view(pinned, 100)
    driver.stream_synchronize(streams[0])
    assert driver.host_view(pinned, 100)[0] == 0xFF


def test_pinned_memory_under_an_array_must_not_be_written_or_freed(driver, streams):
    memory, pinned = driver.malloc(100), driver.host_alloc(100)
    tail = driver.host_view(pinned, 100)[50:]
    with pytest.raises(Misuse, match="written under an array"):
        driver.memcpy_async(pinned, memory, 100, "d2h", streams[0])
    with pytest.raises(Misuse, match="freed under an array"):
        driver.host_free(pinned)
    assert len(tail) == 50


def test_memory_is_not_used_after_it_was_freed_nor_freed_twice(driver, streams):
    memory = driver.malloc(100)
    driver.free(memory)
    with pytest.raises(Misuse, match="used after it was freed"):
        driver.memset_async(memory, 0, 100, streams[0])
    with pytest.raises(Misuse, match="used after it was freed"):
        driver.free(memory)


def test_memory_is_not_freed_under_work_that_may_still_run(driver, streams):
    memory = driver.malloc(100)
    driver.memset_async(memory, 0, 100, streams[0])
    with pytest.raises(Misuse, match="freed while set may still use it"):
        driver.free(memory)
    driver.stream_synchronize(streams[0])


def test_nothing_runs_over_the_end_of_its_memory(driver, streams):
    with pytest.raises(Misuse, match="nobody's"):
        driver.memset_async(driver.malloc(100), 0, 101, streams[0])


def test_the_memory_of_the_device_ends(driver):
    driver.malloc(9_000)
    with pytest.raises(EngineMismatch, match="were wanted"):
        driver.malloc(2_000)


def test_a_captured_operation_runs_when_its_graph_is_launched_and_is_judged_then(driver, streams):
    one, two = streams
    memory = driver.malloc(4)
    driver.memset_async(memory, 1, 4, one)
    driver.capture_begin(one)
    driver.memset_async(memory, 2, 4, one)
    executable = driver.graph_instantiate(driver.capture_end(one))
    assert driver.read(memory, 4)[0] == 1
    with pytest.raises(Race):
        driver.graph_launch(executable, two)
    driver.graph_launch(executable, one)
    assert driver.read(memory, 4)[0] == 2
    with pytest.raises(Misuse, match="destroyed with work in flight"):
        driver.executable_destroy(executable)


def test_a_graph_does_not_outlive_its_addresses(driver, streams):
    memory = driver.malloc(4)
    driver.capture_begin(streams[0])
    driver.memset_async(memory, 2, 4, streams[0])
    executable = driver.graph_instantiate(driver.capture_end(streams[0]))
    driver.free(memory)
    with pytest.raises(Misuse, match="used after it was freed"):
        driver.graph_launch(executable, streams[0])


@pytest.mark.parametrize(
    "stop",
    [
        lambda driver, stream, event: driver.stream_synchronize(stream),
        lambda driver, stream, event: driver.event_synchronize(event),
        lambda driver, stream, event: driver.malloc(1),
        lambda driver, stream, event: driver.event_record(event, stream),
    ],
)
def test_a_capture_is_not_stopped_for(driver, streams, stop):
    event = driver.event_create()
    driver.event_record(event, streams[0])
    driver.capture_begin(streams[0])
    with pytest.raises(Misuse, match="capture"):
        stop(driver, streams[0], event)


def test_the_same_work_is_not_captured_twice(driver, streams):
    memory = driver.malloc(4)
    for _ in range(2):
        driver.capture_begin(streams[0])
        driver.queue(streams[0], Operation("net", [], [(memory, 4)], lambda: None, owner="context"))
        if driver.calls["graph_instantiate"]:
            with pytest.raises(Misuse, match="net is captured twice"):
                driver.capture_end(streams[0])
        else:
            driver.graph_instantiate(driver.capture_end(streams[0]))


def test_streams_and_events_go_once_and_only_when_their_work_is_done(driver, streams):
    event = driver.event_create()
    with pytest.raises(Misuse, match="never recorded"):
        driver.event_synchronize(event)
    driver.event_destroy(event)
    with pytest.raises(Misuse, match="does not exist"):
        driver.event_destroy(event)
    driver.memset_async(driver.malloc(4), 0, 4, streams[0])
    with pytest.raises(Misuse, match="work in flight"):
        driver.stream_destroy(streams[0])


def test_what_is_left_behind_is_named(driver, streams):
    driver.malloc(100)
    driver.event_create()
    with pytest.raises(Misuse, match="left behind: 100 device bytes, 2 streams, 1 events"):
        driver.require_clean()
