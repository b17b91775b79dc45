"""A timeline in characters."""

from __future__ import annotations

from tests.gpu.timeline import COLUMNS, draw


def test_a_timeline_shows_every_stream_and_what_ran_in_it():
    text = draw(
        [("denoiser", "denoise", 0.0, 0.5), ("vae_decoder", "decode", 0.5, 0.5), ("download", "out", 0.99, 0.01)]
    )
    denoise, decode, out, legend = text.splitlines()
    assert denoise.split()[1] == "a" * (COLUMNS // 2 + 1) + "." * (COLUMNS // 2 - 1)
    assert decode.split()[1].endswith("b" * (COLUMNS // 2)) and "c" in out.split()[1]
    assert "1.000 s in all; a denoiser, b vae_decoder, c download" in legend
