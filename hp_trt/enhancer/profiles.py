"""The enhancer's profiles: its options under names, to be measured and planned; a user's are read as those of models.

[mine]
scale = 4
restore = false     # any option of `hp_trt.enhancer.options.Options`
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

from engines.errors import InputError
from hp_trt.enhancer.networks import FACES
from hp_trt.enhancer.options import Options
from hp_trt.profiles import Profile, Profiles

_NOT_OURS = ("mode", "denoiser", "decoder", "quantize", "precision", "cuts")


def options_of(profile: Profile) -> Options:
    """Raises InputError for what an enhancement does not know."""
    plain = Profile(name=profile.name)
    if strange := [name for name in _NOT_OURS if getattr(profile, name) != getattr(plain, name)]:
        raise InputError(f"{', '.join(strange)}: only of a model that animates; leave it out to enhance")
    return Options(**profile.sampling)


def needed_roles(options: Options) -> tuple[str, ...]:
    """The roles without which an enhancement would not be what the options ask for."""
    of_faces = options.of_faces() or not options.upscale
    return (*(("upscaler",) if options.upscale else ()), *(FACES if of_faces else ()))


def lacks(options: Options, roles: Collection[str]) -> list[str]:
    """What graphs of these roles have not, without which the options cannot be, or would choose nothing."""
    if lacking := [role for role in needed_roles(options) if role not in roles]:
        return lacking
    return [] if options.restore or set(FACES) <= set(roles) else ["restorer to leave out"]


def _check(profile: Profile) -> None:
    options_of(profile)


PROFILES = Profiles(
    own_file=Path(__file__).with_name("profiles.toml"),
    sampling=tuple(field.name for field in fields(Options)),
    check=_check,
)
