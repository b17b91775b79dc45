"""Every error we raise on purpose.

A message says what was found, what was needed, and what to do. The exit code says whose
turn it is: 2 the user's (an input, a bundle, a checkpoint, a disk), 1 ours.
"""

from __future__ import annotations


def how_to_install(extra: str) -> str:
    """What a message says of the packages of an extra of ours. No index has hp-trt: a checkout names them."""
    return f"pip install '.[{extra}]' in a checkout of hp-trt"


class HpTrtError(Exception):
    """Base of all our errors. `exit_code` is what a command returns for it."""

    exit_code = 2


class InputError(HpTrtError):
    """A picture, a video, an audio track or an option that cannot be used."""


class FaceNotFound(InputError):
    """No face where one is needed."""


class OutputError(HpTrtError):
    """The result cannot be written: the folder, the permission, the space."""


class BundleError(HpTrtError):
    """A bundle is missing, damaged, foreign, newer than this program, or not made for this use."""


class CheckpointError(HpTrtError):
    """A checkpoint cannot be loaded: missing, extra or misshapen keys, or not a plain tensor file."""


class EngineMismatch(HpTrtError):
    """An engine, or the library that should run it, does not fit this machine."""


class InternalError(HpTrtError):
    """We broke a promise of our own, such as a graph that disagrees with its network."""

    exit_code = 1


class ParityError(InternalError):
    """An exported graph or a built engine does not compute what its network computes."""


class NonFiniteError(InternalError):
    """A stage returned NaN or infinity."""
