"""Each extra alone in a fresh environment, as pip gets it: its command says what it still needs, and then it works.

    python -m tests.extras [EXTRA ...]

For every extra an environment is made, the wheel of this checkout installed in it with that extra alone, and the
extra's command typed: it works, or names the extra that it still needs. Then that is installed, and it must work. A
line of a table for each; the exit status is 1 where one is otherwise. It needs the package registry, and a few minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hp_trt.doctor.abilities import TORCH

ROOT = Path(__file__).parents[1]
_CLIP = "--portrait sample/portrait.png --driving sample/driving.mp4 --out out.mp4 --steps 1".split()
_ANIMATE = ["hp-trt", "animate", "--bundle", "shipped:pocket", *_CLIP]
_SERVE = "hp-trt serve --bundle shipped:pocket --port 0 --state state".split()
_BENCH = "python -m runtime.bench --bundle shipped:pocket --frames 8 --steps 1 --runs 1 --warmup 0".split()
_BATCH = "hp-trt batch --bundle shipped:pocket --portraits sample --drivings sample --out clips --steps 1 --ray".split()
_INPUT_ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Try:
    """A command of an extra. `beside`: what it takes besides, which it must name until it is installed."""

    words: Sequence[str]
    beside: Sequence[str] = ()
    before: Sequence[str] = ()  # typed first, once all is there
    says: str = ""  # what it prints then
    get: str = ""  # of a service: an address of it that answers
    peer: Sequence[str] = ()  # typed then, with the service's URL before its last two words; `says` is of it


_EXPORT = "python -m export.build_engines --preset pocket --bundle built --no-parity".split()
_SPOKEN = "hp-trt sample --speech --voice espeak --frames 25 --out spoken".split()
_PEER = ["python", str(ROOT / "tests/rtc_peer.py"), "sample/portrait.png", "sample/driving.mp4"]
TRIES = {
    "": Try(words=_ANIMATE, beside=["cpu"]),
    "cpu": Try(words=_ANIMATE),
    "cuda": Try(words=[*_ANIMATE, "--provider", "cpu"]),
    "openvino": Try(words=["hp-trt", "doctor"], beside=["cpu"], says="ok  openvino"),  # its plans are made by export
    "export": Try(words=_EXPORT, beside=["cpu"]),
    "gpu": Try(words=["hp-trt", "doctor"], beside=["cpu"], says="no usable device"),  # where there is none
    "rtx": Try(words=["hp-trt", "doctor"], beside=["cpu"], says="ok  tensorrt-rtx"),
    "nvcodec": Try(words=["hp-trt", "doctor"], beside=["cpu"], says="NVDEC needs an NVIDIA GPU, found"),  # without one
    "bench": Try(words=[*_BENCH, "--timeline", "timeline.png"], beside=["cpu"]),
    "evaluate": Try(
        words="hp-trt evaluate --protocol self --bundle shipped:pocket --seeds 0:1 --frames 8".split(), beside=["cpu"]
    ),
    "espeak": Try(words=_SPOKEN),
    "provenance": Try(words=["hp-trt", "verify", "out.mp4"], beside=["cpu"], before=_ANIMATE, says="credentials"),
    "scale": Try(words=_BATCH, beside=["cpu"], says="2 clips made"),
    "service": Try(words=_SERVE, beside=["cpu"], get="/livez"),
    "otel": Try(words=[*_SERVE, "--traces", "spans.jsonl"], beside=["service", "cpu"], get="/livez"),
    "rtc": Try(words=_SERVE, beside=["service", "cpu"], get="/live", peer=_PEER, says="3 pictures came back"),
    "web": Try(words=_SERVE, beside=["cpu"], get="/page/"),
}
LEFT_OUT = {
    "tensorrt": "its wheels are of an index of NVIDIA's",
    "docs": "it is of use in a checkout, and no wheel has the manual",
    "test": "all of them",
}


class Fresh:
    """A new environment with the wheel."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self._wheel = folder, wheel
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)

    def install(self, *extras: str) -> None:
        if "export" in extras:  # a build for CPUs where the registry has one
            self._pip(f"torch=={TORCH}")
        wanted = ",".join(extras)
        self._pip(f"{self._wheel}[{wanted}]" if wanted else str(self._wheel))

    def _pip(self, what: str) -> None:
        words = [self.folder / "env/bin/pip", "install", "--quiet", "--disable-pip-version-check", what]
        subprocess.run(words, check=True, cwd=self.folder)

    def type(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """What a shell in its folder would run, with a home of its own."""
        return subprocess.run(self._words(words), cwd=self.folder, env=self._env, capture_output=True, text=True)

    def served(self, wanted: Try) -> str:
        """What is wrong with a service that is asked for an address and then ended; "" where nothing is."""
        with subprocess.Popen(
            self._words(wanted.words), cwd=self.folder, env=self._env, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            url = next((line.split(" at ")[1].strip() for line in lines if " at http" in line), None)
            if url is None:
                return "it did not begin to serve"
            try:
                with urllib.request.urlopen(url + wanted.get, timeout=60) as answer:
                    status = answer.status
                if wanted.peer:
                    *program, portrait, video = wanted.peer
                    ran = self.type([*program, url, portrait, video])
                    if ran.returncode or wanted.says not in ran.stdout:
                        return f"its peer ended by {ran.returncode}: {ran.stdout}{ran.stderr}"
            finally:
                process.terminate()
            return "" if (process.wait(), status) == (0, 200) else f"answered {status}, ended by {process.returncode}"

    def _words(self, words: Sequence[str]) -> list[str]:
        return [str(self.folder / "env/bin" / words[0]), *words[1:]]

    @property
    def _env(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG", "HP_TRT"))}
        return {**own, "HOME": str(self.folder)}


def tried(extra: str, wheel: Path, folder: Path) -> str:
    """What is wrong with an extra; "" where nothing is."""
    fresh, wanted = Fresh(folder, wheel), TRIES[extra]
    fresh.install(*filter(None, [extra]))
    drawn = fresh.type("hp-trt sample --out sample --frames 6 --seed 7".split())
    if drawn.returncode:
        return drawn.stderr
    installed = [*filter(None, [extra])]
    for missing in wanted.beside:
        refused = fresh.type(wanted.before or wanted.words)
        if refused.returncode != _INPUT_ERROR or f"'.[{missing}]'" not in refused.stdout + refused.stderr:
            return f"without {missing} it ended by {refused.returncode}: {refused.stdout}{refused.stderr}"
        installed.append(missing)
        fresh.install(*installed)
    if wanted.get:
        return fresh.served(wanted)
    for words in filter(None, [wanted.before, wanted.words]):
        ran = fresh.type(words)
        if ran.returncode:
            return f"{' '.join(words)} ended by {ran.returncode}: {ran.stdout}{ran.stderr}"
    return "" if wanted.says in ran.stdout else f"nothing of {wanted.says!r} in {ran.stdout}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    asked = parser.parse_args().extras or list(TRIES)
    if unknown := set(asked) - set(TRIES):
        parser.error(f"{', '.join(sorted(unknown))}: not tried here; there are {', '.join(filter(None, TRIES))}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="extras-") as made:
        folder = Path(made)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
        subprocess.run(build, check=True)
        (wheel,) = folder.glob("*.whl")
        print("| extra | alone its command says | then | s |\n|---|---|---|---|")
        for extra in asked:
            (folder / (extra or "none")).mkdir()
            began = time.monotonic()
            wrong = tried(extra, wheel, folder / (extra or "none"))
            needs = ", then ".join(f"it needs {name}" for name in TRIES[extra].beside) or "nothing: it works"
            seconds = time.monotonic() - began
            print(f"| {extra or 'none'} | {needs} | {wrong or 'works'} | {seconds:.0f} |", flush=True)
            failed += bool(wrong)
    for extra, why in LEFT_OUT.items():
        print(f"left out: {extra} ({why})")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
