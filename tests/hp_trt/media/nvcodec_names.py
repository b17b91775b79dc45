"""What `hp_trt.media.nvcodec` uses of PyNvVideoCodec, as the real package has it: its names and their arguments.

    python -m tests.hp_trt.media.nvcodec_names > tests/hp_trt/media/nvcodec_names.json

Where there is no driver, empty libraries of its names are made with the C compiler and loaded in its place: they are
enough to look at the package, and for nothing else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

USED = {
    "functions": ("CreateDecoder", "CreateEncoder", "GetDecoderCaps", "GetEncoderCaps"),
    "methods": {
        "PyNvDecoder": ("Decode", "GetWidth", "GetHeight"),
        "DecodedFrame": ("framesize", "GetPtrToPlane"),
        "PyNvEncoder": ("Encode", "EndEncode"),
    },
    "fields": {"PacketData": ("bsl", "bsl_data", "pts"), "DecodedFrame": ("timestamp", "format")},
    "members": {
        "cudaVideoCodec": ("H264", "HEVC"),
        "cudaVideoChromaFormat": ("420",),
        "Pixel_Format": ("NV12",),
    },
}
LOOK = """
import inspect, json, re, sys
import PyNvVideoCodec as nvc
used = json.loads(sys.argv[1])
def said(thing):
    try:
        return [f"({', '.join(inspect.signature(thing).parameters)})"]
    except (TypeError, ValueError):
        text = thing.__doc__
    found = re.findall(r"^(?:\\d+\\. )?\\w+(\\(.*\\) -> .*)$", text, re.M)
    return [re.sub(r"_PyNvVideoCodec\\.", "", one) for one in found]
print(json.dumps({
    "version": nvc.__version__,
    "functions": {name: said(getattr(nvc, name)) for name in used["functions"]},
    "methods": {f"{kind}.{name}": said(getattr(getattr(nvc, kind), name))
                for kind, names in used["methods"].items() for name in names},
    "fields": {f"{kind}.{name}": isinstance(getattr(getattr(nvc, kind), name), property)
               for kind, names in used["fields"].items() for name in names},
    "members": {f"{kind}.{name}": name in getattr(nvc, kind).__members__
                for kind, names in used["members"].items() for name in names},
}, indent=1))
"""
_ENCODE = """
#include <stdint.h>
int NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) { *version = 13 * 16; return 0; }
"""


def seen() -> dict[str, Any]:
    """The real package's, in a process of its own. Raises RuntimeError where it cannot be loaded at all."""
    with tempfile.TemporaryDirectory() as folder:
        environ = dict(os.environ)
        if not Path("/proc/driver/nvidia/version").exists():
            _without_a_driver(Path(folder))
            environ["LD_LIBRARY_PATH"] = f"{folder}:{environ.get('LD_LIBRARY_PATH', '')}"
        words = [sys.executable, "-c", LOOK, json.dumps(USED)]
        ran = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=120)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip()[-500:])
    return json.loads(ran.stdout)


def _without_a_driver(folder: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no driver, and no C compiler to make empty libraries of its names")
    package = importlib.util.find_spec("PyNvVideoCodec")
    if package is None or package.origin is None:
        raise RuntimeError("PyNvVideoCodec is not installed")
    wanted: set[str] = set()  # of the driver, by the package's own table of names; a few too many do no harm
    for library in Path(package.origin).parent.glob("PyNvVideoCodec_*.so"):
        wanted |= {name.decode() for name in re.findall(rb"(?<=\x00)cu[A-Z]\w+(?=\x00)", library.read_bytes())}
    driver = "".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(wanted))
    for name, text in (("libcuda.so.1", driver), ("libnvidia-encode.so.1", _ENCODE)):
        source = folder / f"{name}.c"
        source.write_text(text)
        words = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, source]
        subprocess.run(words, check=True, capture_output=True)


if __name__ == "__main__":
    print(json.dumps(seen(), indent=1))
