from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.streams.sink import Shape
from hp_trt.streams.stream_sinks import UrlSink, Y4mPipe


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1 cannot be sent to: Connection refused"),
        ("nosuch://me:secret@127.0.0.1", "nosuch://127.0.0.1: this FFmpeg does not know that kind of address"),
    ],
)
def test_an_address_that_does_not_answer_is_told(url, says):
    sink = UrlSink(url, container_format="mpegts", timeout_s=1.0)
    with pytest.raises(OutputError) as error:
        sink.open(Shape(width=64, height=48, rate=Fraction(25)))
    sink.close()
    assert says in str(error.value) and "secret" not in str(error.value)


class Written:
    """A writer that counts pictures."""

    pictures = 0

    def write(self, data):
        self.pictures += data.startswith(b"FRAME")
        return len(data)


def test_a_gap_of_days_is_not_filled_with_pictures():
    writer = Written()
    sink = Y4mPipe(writer)
    sink.open(Shape(width=16, height=16, rate=Fraction(10)))
    for time_s in (0, 3, 10**6, 10**6 + 1):
        sink.write(np.zeros((16, 16, 3), np.uint8), Fraction(time_s))
    sink.close()
    assert writer.pictures == 31 + 1 + 10  # three seconds are repeated, days are not
    assert sink.notes == ["gaps of more than 60 s that are left out: 1"]
