"""What the check's tests make by hand: lines, and a part that is a few words of Python."""

from __future__ import annotations

import json
import sys

from tests.gpu import children
from tests.gpu.children import Child
from tests.gpu.lines import Line

PYTHON = sys.executable  # `child` puts another in its place


def told(lines):
    """The lines that were written, those that were only begun left out."""
    rows = map(json.loads, lines.path.read_text().splitlines())
    return [Line(**row) for row in rows if "status" in row]


def line(section, name, status="ok", text="", **facts):
    return Line(section=section, name=name, status=status, text=text, facts=facts)


def clips(size, fps, way="onnxruntime"):
    """A released clip of 1 frame/s, and this way's."""
    return [
        line(f"torch, {size}", "released, clip", frames_per_s=1.0),
        line(f"{way}, {size}", "clip", frames_per_s=fps, timeline=[["denoiser", "denoise", 0.0, 1.0]]),
    ]


def child(tmp_path, monkeypatch, code, until_s):
    """A part that is this Python code; `tell(row)` appends to its lines."""
    script = tmp_path / "part.py"
    script.write_text(
        "import json, sys\npath = sys.argv[sys.argv.index('--lines') + 1]\n"
        f"def tell(row):\n    open(path, 'a').write(json.dumps(row) + chr(10))\n{code}\n"
    )
    python = tmp_path / "python"  # runs the script in place of the module
    python.write_text(f'#!/bin/sh\nshift 2\nexec "{PYTHON}" "{script}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(children.sys, "executable", str(python))
    return Child(tmp_path, 1, "torch", until_s)
