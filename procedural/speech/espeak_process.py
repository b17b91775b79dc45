"""One text, spoken by the espeak-ng library: the program of a process that ends after it.

The library keeps state from text to text, so that what was said before changes the samples that come; it is not for
several threads; and a damaged file of it can end the process. A process for each text needs no lock, gives the same
samples for the same request, and ends alone. It starts in 30 ms, because it loads Python's own modules alone.

Standard input is a JSON object: `library` and `data` (paths), `voice`, `rate`, `pitch`, `range` (the library's own
units), `seed`, `text`, and `most_s`, behind which it stops. Standard output is a line of JSON, {"hz": ...,
"phonemes": [[name, first sample], ...]} or {"error": ...}, and behind the line the samples, 16 bits each.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

# Of speak_lib.h, version 1.52.
_SYNCHRONOUS, _PHONEME_EVENTS, _DO_NOT_EXIT, _UTF8 = 2, 0x0001, 0x8000, 1
_END, _PHONEME = 0, 7  # kinds of events
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_ubyte * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


def said(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The answer's object and its samples. Raises OSError for a library that cannot be loaded."""
    library = ctypes.CDLL(request["library"])
    os.chdir(os.path.dirname(request["data"]))  # the library keeps 160 letters of a path
    hz = library.espeak_Initialize(_SYNCHRONOUS, 0, b".", _PHONEME_EVENTS | _DO_NOT_EXIT)
    if hz <= 0:
        return {"error": f"it cannot use its data in {request['data']}"}, b""
    pieces: list[bytes] = []
    phonemes: list[tuple[str, int]] = []
    heard = 0

    def take(samples: int | None, count: int, events: Any) -> int:
        nonlocal heard
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
            heard += count
        number = 0
        while (event := events[number]).type != _END:
            if event.type == _PHONEME:  # behind a name's end there is what an earlier one left
                name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
                phonemes.append((name, event.sample))
            number += 1
        return int(heard > request["most_s"] * hz)

    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()):
        return {"error": f"it has no voice {request['voice']}"}, b""
    for name, number in _PARAMETERS.items():
        library.espeak_SetParameter(number, request[name], 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(request["seed"]))
    text = request["text"].encode() + b"\0"
    if library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, _UTF8, None, None):
        return {"error": "it cannot say this text"}, b""
    return {"hz": hz, "phonemes": phonemes}, b"".join(pieces)


def main() -> None:
    out = sys.stdout.buffer
    try:
        answer, samples = said(json.load(sys.stdin.buffer))
    except (OSError, AttributeError) as error:  # no library, or another one
        answer, samples = {"error": str(error)}, b""
    out.write(json.dumps(answer).encode() + b"\n" + samples)
    out.flush()


if __name__ == "__main__":
    main()
