"""Files that are no whole video, that are as large as videos are, and that the disk has no room for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt import Enhancer
from hp_trt.enhancer import files, memory
from hp_trt.provenance.options import NOTHING
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, frame, make_bundle, write_video

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle with the upscaler alone."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b", ALL[:1]).path


@pytest.fixture
def enhancer(bundle):
    with Enhancer(bundle, backend=StandIn()) as opened:
        yield opened


def index_first(given: Path, out: Path) -> Path:
    """The same video, which can be played while it comes."""
    with av.open(str(given)) as source, av.open(str(out), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return out


def test_a_video_that_was_cut_off_is_refused_or_enlarged_as_far_as_it_goes_and_said_to_be(enhancer, tmp_path):
    given = write_video(tmp_path / "given.mp4", [frame(number) for number in range(40)])
    without_index, with_index = tmp_path / "without.mp4", index_first(given, tmp_path / "with.mp4")
    without_index.write_bytes(given.read_bytes()[: given.stat().st_size // 2])
    with_index.write_bytes(with_index.read_bytes()[: with_index.stat().st_size // 2])
    with pytest.raises(InputError, match="is no video that FFmpeg can open, or it is cut off"):
        enhancer.enhance(without_index, tmp_path / "big.mp4")
    assert not list(tmp_path.glob("big.mp4*"))
    made = enhancer.enhance(with_index, tmp_path / "big.mp4")
    assert 5 < made.frames < 35
    assert f"is damaged or cut off: the {made.frames} of 40 frames that can be decoded are used" in " ".join(made.notes)


def test_a_video_of_8k_is_opened_and_refused_by_what_is_free_before_a_frame_is_decoded(enhancer, tmp_path, monkeypatch):
    given = tmp_path / "8k.mp4"
    with av.open(str(given), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((4320 * 3 // 2, 7680), 128, np.uint8), format="yuv420p")
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 << 30)
    monkeypatch.setattr(files, "enhanced", lambda *_given, **_how: pytest.fail("it began"))
    says = r"8k.mp4 would become 15360 x 8640, which takes about 12.\d GiB of memory, and 8.0 GiB are free; choose a sm"
    with pytest.raises(InputError, match=says):
        enhancer.enhance(given, tmp_path / "big.mp4")
    with pytest.raises(InputError, match=r"30720 x 17280, and H.264 takes up to 16384 pixels a side; choose a smaller"):
        enhancer.enhance(given, tmp_path / "big.mp4", scale=4)
    monkeypatch.setattr(memory, "available_bytes", lambda: 16 << 30)
    with pytest.raises(pytest.fail.Exception, match="it began"):
        enhancer.enhance(given, tmp_path / "big.mp4")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from hp_trt import Enhancer, OutputError
from hp_trt.enhancer import files
from hp_trt.provenance.options import NOTHING
from tests.hp_trt.enhancer.stand_in import StandIn
files._WINDOWS = 1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
with Enhancer(Path(sys.argv[1]), backend=StandIn()) as opened:
    try:
        opened.enhance(sys.argv[2], sys.argv[3], provenance=NOTHING)
    except OutputError as error:
        print(error, *error.__notes__ if hasattr(error, "__notes__") else ())
"""


@pytest.mark.parametrize(
    ("share", "says"),
    [(0.2, "Not a chunk was finished"), (0.75, "keeps what is done (3 chunks, 1.36 s): go on with --resume")],
    ids=["in a chunk", "as chunks are joined"],
)
def test_a_disk_that_fills_up_leaves_no_half_file_and_what_was_whole_is_gone_on_with(
    enhancer, bundle, tmp_path, monkeypatch, share, says
):
    monkeypatch.setattr(files, "_WINDOWS", 1)
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(34)]
    given, whole, out = write_video(tmp_path / "given.mp4", noise), tmp_path / "whole.mp4", tmp_path / "big.mp4"
    enhancer.enhance(given, whole, provenance=NOTHING)
    most = round(share * whole.stat().st_size)
    out.write_bytes(b"old")
    words = [sys.executable, "-c", LIMITED, bundle, given, out, str(most)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert "could not be written: File too large" in ended.stdout and says in ended.stdout, ended.stderr
    assert out.read_bytes() == b"old", "what was there stays"
    assert not list(tmp_path.rglob("*.part"))
    enhancer.enhance(given, out, resume="resume", provenance=NOTHING)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.mp4", "given.mp4", "whole.mp4"]
