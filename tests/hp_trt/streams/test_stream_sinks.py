from __future__ import annotations

from fractions import Fraction

import pytest

from engines.errors import OutputError
from hp_trt.streams.sink import Shape
from hp_trt.streams.stream_sinks import UrlSink


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
