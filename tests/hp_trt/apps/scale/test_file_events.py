"""Events of a job in a file: any process reads them, and a listener goes on where it was."""

from __future__ import annotations

import asyncio
import threading

from hp_trt.apps.scale.file_events import FileEvents


def read(events: FileEvents, number: int = 0):
    events.look()
    found, ended = events.after(number)
    return [(event.number, event.kind, event.data) for event in found], ended


def test_what_one_process_writes_another_reads_with_the_same_numbers(tmp_path):
    writer, reader, late = (FileEvents(tmp_path / "e", "life") for _ in range(3))
    assert read(reader) == ([], False), "before there is a file"
    writer.add("state", state="queued", attempts=0)
    writer.add("note", text="ä")
    assert read(reader) == (
        first := [(1, "state", {"state": "queued", "attempts": 0}), (2, "note", {"text": "ä"})],
        False,
    )
    writer.add("state", state="done", attempts=1)
    writer.end()
    assert read(reader, 2) == ([(3, "state", {"state": "done", "attempts": 1})], True)
    assert read(late)[0][:2] == first and read(late)[1]


def test_a_listener_comes_back_to_another_process_where_it_was(tmp_path):
    writer = FileEvents(tmp_path / "e", "abcd")
    for number in range(3):
        writer.add("note", text=str(number))
    writer.look()
    identity = writer.after(0)[0][1].to_sse().split(b"\n")[0].removeprefix(b"id: ").decode()
    other = FileEvents(tmp_path / "e", "abcd")
    assert other.number_of(identity) == 2
    assert [FileEvents(tmp_path / "e", "abcd").number_of(wrong) for wrong in ("", None, "x.2", "abcd.-1")] == [0] * 4


def test_half_a_line_and_damaged_ones_are_left_out_and_numbers_stay(tmp_path):
    (tmp_path / "e").write_bytes(b'{"kind":"note","data":{}}\nno json\n{"kind":"note","data":{"a":1}}\n{"kind":"no')
    reader = FileEvents(tmp_path / "e", "life")
    assert [number for number, _, _ in read(reader)[0]] == [1, 3]
    with (tmp_path / "e").open("ab") as file:
        file.write(b'te","data":{}}\n')
    assert [number for number, _, _ in read(reader)[0]] == [1, 3, 4]


def test_a_long_clips_progress_is_a_bounded_file(tmp_path):
    now = [0.0]
    writer = FileEvents(tmp_path / "e", "life", steady_s=lambda: now[0])
    for number in range(40_000):  # four a second for three hours
        now[0] += 0.25
        writer.add("progress", stage="write", done=number, total=40_000)
    writer.add("progress", stage="write", done=40_000, total=40_000)
    found, _ = read(FileEvents(tmp_path / "e", "life"))
    assert 400 < len(found) < 400 * 8, "some hundred for each power of e that the time has grown by"
    assert found[-1][2]["done"] == 40_000, "the last is told in any case"


def test_waiting_ends_with_a_line_with_the_end_and_when_it_is_let_go(tmp_path):
    released = threading.Event()
    reader, writer = FileEvents(tmp_path / "e", "life", released=released), FileEvents(tmp_path / "e", "life")

    async def waited() -> list[bool]:
        found = [await reader.wait(0, 0.1)]
        threading.Timer(0.2, lambda: writer.add("note", text="x")).start()
        found.append(await reader.wait(0, 5))
        threading.Timer(0.2, released.set).start()
        found.append(await reader.wait(1, 5))
        return found

    assert asyncio.run(waited()) == [False, True, True]
    assert reader.after(1) == ([], True)


def test_a_disk_that_refuses_costs_a_line_and_no_job(tmp_path):
    FileEvents(tmp_path / "no such folder" / "e", "life").add("note", text="x")
