"""What a .pth file would do and hold, read before it is opened: a pickle can be a program, an archive a bomb.

torch.save writes a zip of uncompressed parts: one pickle, and one part for each tensor's storage. So what such a file
unpacks to is no larger than itself, and a file that says otherwise is none of torch's. The pickle is read as a list of
instructions and not run.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path

# What torch.save writes for a state dict of plain tensors.
TENSOR_GLOBALS = (
    {"collections.OrderedDict", "torch.storage.UntypedStorage", "torch.storage.TypedStorage"}
    | {f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3", "parameter")}
    | {f"torch.{kind}Storage" for kind in "Float Half BFloat16 Double Long Int Short Char Byte Bool".split()}
)
_PICKLE_BYTES = 64 << 20  # of a pickle; its tensors lie elsewhere
_OLD_PICKLES = 5  # in a file of torch's old format, before the tensors: the fourth is the state dict
_MOST_PARTS = 200_000


def archive_problem(path: Path) -> str:
    """What is wrong with a zip by its table of contents, "" where nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        return f"damaged, its table of contents cannot be read ({error}); download it again"
    except Exception as error:  # of a record that is cut off: struct.error and others
        return f"damaged, its table of contents cannot be read ({type(error).__name__}); download it again"
    if len(parts) > _MOST_PARTS:
        return f"an archive of {len(parts)} parts, a checkpoint has at most {_MOST_PARTS}; download it again"
    if len({part.filename for part in parts}) < len(parts):
        return "an archive with two parts of one name, torch.save writes none; download it again"
    if any(part.filename.endswith("/constants.pkl") for part in parts):
        return "a TorchScript program, needed a state dict"
    if any(part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size for part in parts):
        return "a compressed archive, torch.save compresses nothing; download it again, or save the state dict alone"
    if (unpacked := sum(part.file_size for part in parts)) > (size := path.stat().st_size):
        return f"an archive whose parts are {unpacked} bytes in a file of {size}; download it again"
    return ""


def foreign_global(path: Path, archive: bool) -> str | None:
    """The first name a pickle asks for that a file of plain tensors would not, read without running it."""
    try:
        stream = io.BytesIO(_pickle(path, archive))
        for _ in range(1 if archive else _OLD_PICKLES):
            if (name := _foreign_in(stream)) is not None:
                return name
    except (ValueError, StopIteration, OSError, zipfile.BadZipFile):
        return None  # not a pickle at all, or no more of them
    return None


def _pickle(path: Path, archive: bool) -> bytes:
    if not archive:
        with path.open("rb") as file:
            return file.read(_PICKLE_BYTES)
    with zipfile.ZipFile(path) as parts:
        part = next(part for part in parts.infolist() if part.filename.endswith("/data.pkl"))
        if part.file_size > _PICKLE_BYTES:
            raise ValueError(f"a pickle of {part.file_size} bytes")
        return parts.read(part)


def _foreign_in(stream: io.BytesIO) -> str | None:
    """Reads one pickle, up to its end."""
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        name = None
        if opcode.name == "GLOBAL" and argument is not None:
            name = argument.replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":  # module and name are the two strings pushed before
            name = ".".join(strings[-2:])
        elif isinstance(argument, str):
            strings.append(argument)
        if name and name not in TENSOR_GLOBALS:
            return name
    return None
