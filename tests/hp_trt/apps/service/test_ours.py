"""Which pages are ours: those of the host that they ask."""

from __future__ import annotations

import pytest

from hp_trt.apps.service.ours import is_page_of

HOSTILE = [
    "null", "", "http://evil.example", "http://127.0.0.1:7861", "http://127.0.0.1:7860.evil.example", "file://",
    "http://evil@127.0.0.1:7860", "chrome-extension://127.0.0.1:7860", "http://[", "http://127.0.0.1:7860" + "x" * 999,
]  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "127.0.0.1", "LOCALHOST:7860", "[::1]:99", "box.lan"])
def test_a_page_of_the_host_that_it_asks_is_ours(host):
    assert is_page_of(f"http://{host.lower()}", host) and is_page_of(f"https://{host.lower()}", host)


@pytest.mark.parametrize("origin", HOSTILE)
def test_a_page_from_elsewhere_is_not(origin):
    assert not is_page_of(origin, "127.0.0.1:7860") and not is_page_of(origin, "")
