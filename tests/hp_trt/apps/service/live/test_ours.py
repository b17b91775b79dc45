from __future__ import annotations

import pytest

from hp_trt.apps.service.live.ours import ForeignHost, ForeignOrigin, Ours

OURS = Ours(["127.0.0.1", "Localhost:7860", "[::1]"], ["https://studio.example"])


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:7860", None),
        ("127.0.0.1", "http://127.0.0.1"),
        ("LOCALHOST:7860", "http://localhost:7860"),
        ("[::1]:99", "http://[::1]:99"),
        ("127.0.0.1:1", "https://studio.example"),
    ],
)
def test_our_own_pages_and_those_that_are_named_may(host, origin):
    OURS.check(host, origin)


@pytest.mark.parametrize("host", [None, "", "evil.example", "127.0.0.1.evil.example", "localhost:1", ":7860", "[::1"])
def test_another_host_is_refused(host):
    with pytest.raises(ForeignHost, match="use an address that it was started with"):
        OURS.check(host, None)


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "http://127.0.0.1:7861", "http://127.0.0.1:7860.evil.example", "file://",
     "http://evil@127.0.0.1:7860", "chrome-extension://127.0.0.1:7860", "http://[",
     "http://127.0.0.1:7860" + "x" * 999],
)  # fmt: skip
def test_a_page_from_elsewhere_is_refused(origin):
    with pytest.raises(ForeignOrigin, match="may not use this service"):
        OURS.check("127.0.0.1:7860", origin)
