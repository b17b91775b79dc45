"""Profiles: named sets of shortcuts, a model's own and a user's, in TOML.

    [mine]                          # a table a profile; a file of one needs no name to be chosen
    about = "for slow machines"     # what is shown
    base = "live"                   # whose keys hold where none is given; without it those of `exact`
    steps = 2                       # any of the keys below

    mode                "clip": windows that wrap and slide, as released | "live": causal windows as they come
    denoiser            "full" | "distilled": made for few steps, and for windows of any length
    decoder             "full" | "tiny" | "tiny-or-full": the small one where the bundle has it, and a note where not
    quantize            "none" | "int8" | "fp8": the denoiser's products in 8 bits
    deep_every          so many steps share what all of the UNet but its last layer made; 1: none do
    steps, schedule, skip_last, guidance_appearance, guidance_motion, guidance_interval
                        the model's sampling options (`hp_trt.SamplingOptions`); where one is not given the bundle's
                        own holds
    window, overlap     frames; in mode "live" the window is free, in mode "clip" it is the bundle's
    lead_in             made-up frames before the first, in mode "live"
    cuts                what a scene cut in the driving video does to its crop: "released": the first face's stays |
                        "anew": the next face sets it; where it is not given, "anew" in mode "live"

An approximation is on only where a profile says so. Nothing here opens a bundle or knows a graph: a profile keeps what
was chosen, and which names there are, which sampling options, and which graphs that needs, is its model's to say.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import InputError
from engines.fields import Field, read_toml, shown
from hp_trt.interface import arguments
from runtime.live_windows import LiveWindows

Mode = Literal["clip", "live"]
Denoiser = Literal["full", "distilled"]
Decoder = Literal["full", "tiny", "tiny-or-full"]
Quantize = Literal["none", "int8", "fp8"]
Cuts = Literal["released", "anew"]

_MOST_BYTES = 256 << 10  # of a file
_MOST_PROFILES = 100  # in it
_LONGEST_WINDOW = 10_000  # frames


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One profile. Its words are checked when it is made: raises InputError.

    Sampling options, and shortcuts that exclude each other, are checked by its model, where a file of profiles is read
    and where a Runtime is given the profile.
    """

    name: str
    about: str = ""
    mode: Mode = "clip"
    denoiser: Denoiser = "full"
    decoder: Decoder = "full"
    quantize: Quantize = "none"
    cuts: Cuts = "released"
    sampling: Mapping[str, Any] = field(default_factory=dict)  # overrides of the bundle's own, by name
    windows: LiveWindows | None = None  # of mode "live"

    def __post_init__(self) -> None:
        arguments.words("a profile's name", self.name)
        with naming(self.name):
            arguments.words("about", self.about)
            if not isinstance(self.sampling, Mapping) or not all(isinstance(key, str) for key in self.sampling):
                raise InputError(f"sampling must be options by name, got {arguments.shown(self.sampling)}")
            if self.windows is not None:
                arguments.instance("windows", self.windows, LiveWindows)
        words = {"mode": Mode, "denoiser": Denoiser, "decoder": Decoder, "quantize": Quantize, "cuts": Cuts}
        for name, choices in words.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in get_args(choices):
                raise InputError(
                    f"profile {self.name}: {name} is one of {', '.join(get_args(choices))}, "
                    f"got {arguments.shown(value)}"
                )
        if (self.mode == "live") != (self.windows is not None):
            raise InputError(f"profile {self.name}: live windows are for mode live, the mode is {self.mode}")


@contextmanager
def naming(profile: str) -> Iterator[None]:
    """An InputError of the block begins with the profile's name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"profile {profile}: {error}") from error


def require_live(profile: Profile) -> Profile:
    """`profile` itself, which is one of mode live. Raises InputError."""
    if profile.mode != "live":
        raise InputError(
            f"the profile {profile.name} is for whole clips, live needs one whose windows are causal; "
            'take live, or one of your own with mode = "live"'
        )
    return profile


def profiles_file(name: str | Path) -> Path | None:
    """The file that a profile's name begins with, FILE.toml or FILE.toml:NAME; None: it is the model's own."""
    text = str(name)
    if ".toml" not in text:
        return None
    path, _, inside = text.partition(".toml:")
    return Path(f"{path}.toml" if inside else text)


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """The profiles of one model: those of its own file, and how a user's are read and checked."""

    own_file: Path
    sampling: tuple[str, ...]  # the keys of a table that are the model's sampling options
    check: Callable[[Profile], None]  # raises InputError for what the model cannot do

    def find(self, name: str | Path) -> Profile:
        """The model's own of that name, or FILE.toml, or FILE.toml:NAME where a file has several.

        Raises InputError with the nearest name.
        """
        text = str(arguments.path("a profile, where it is no Profile,", name))
        if (file := profiles_file(text)) is None:
            return _chosen(self.own(), text, "profile")
        inside = text.partition(".toml:")[2]
        found = self.read(file)
        if inside:
            return _chosen(found, inside, f"profile in {file}:")
        if len(found) != 1:
            raise InputError(f"{file} has the profiles {', '.join(found)}; choose one: {file}:{next(iter(found))}")
        return next(iter(found.values()))

    def own(self) -> dict[str, Profile]:
        """Those of the model, by name."""
        return dict(_own(self))

    def read(self, file: Path) -> dict[str, Profile]:
        """Those of a file, by name. Raises InputError for one that is no such file."""
        return self._parsed(file, _tables(self.own_file))

    def _parsed(self, file: Path, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Profile]:
        tables = _tables(file)
        return {name: self._profile(name, _with_base(name, {**known, **tables}, ())) for name in tables}

    def _profile(self, name: str, table: Mapping[str, Any]) -> Profile:
        own = {f.name for f in fields(Profile)} - {"name", "sampling", "windows"}
        known = (*sorted(own), *self.sampling, "window", "overlap", "lead_in", "base")
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key[:100], known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
                raise InputError(f"profile {name} has no key {key if key.isidentifier() else shown(key)}; {hint}")
        live = table.get("mode") == "live"
        try:
            about = Field(table.get("about", ""), f"profile {name}: about").text()
            windows = {
                option: Field(table[key], f"profile {name}: {key}").whole(0, _LONGEST_WINDOW)
                for key, option in (("window", "size"), ("overlap", "overlap"), ("lead_in", "lead_in"))
                if live and key in table
            }
        except ValueError as error:
            raise InputError(str(error)) from error
        if not live and (stray := [key for key in ("window", "lead_in") if key in table]):
            raise InputError(
                f"profile {name}: only mode live has {' and '.join(stray)}; in mode clip the window is the bundle's"
            )
        sampling = {key: table[key] for key in (*self.sampling, *(() if live else ("overlap",))) if key in table}
        with naming(name):
            made = LiveWindows(**windows) if live else None
        chosen = {"cuts": "anew" if live else "released"} | {key: table[key] for key in own - {"about"} if key in table}
        profile = Profile(name=name, about=about, sampling=sampling, windows=made, **chosen)
        with naming(name):
            self.check(profile)
        return profile


@cache
def _own(profiles: Profiles) -> dict[str, Profile]:
    return profiles._parsed(profiles.own_file, {})


def _tables(file: Path) -> dict[str, Mapping[str, Any]]:
    try:
        found = read_toml(file, most_bytes=_MOST_BYTES).mapping()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give a TOML file of profiles") from error
    except ValueError as error:  # not UTF-8, not TOML
        raise InputError(f"{file} is no TOML: {error}; see hp_trt/profiles.py for what it holds") from error
    if loose := [key for key, value in found.items() if not isinstance(value, dict)]:
        names = ", ".join(key if key.isidentifier() else shown(key) for key in loose[:5])
        more = f" and {len(loose) - 5} more" if len(loose) > 5 else ""
        raise InputError(f"{file} has {names}{more} outside a table; begin it with [NAME], the profile's name")
    if not found:
        raise InputError(f"{file} holds no profile; a table is one: [NAME]")
    if len(found) > _MOST_PROFILES:
        raise InputError(f"{file} holds {len(found)} profiles, at most {_MOST_PROFILES} are read; divide it")
    return dict(found)


def _with_base(name: str, tables: Mapping[str, Mapping[str, Any]], below: tuple[str, ...]) -> dict[str, Any]:
    """A table's keys over those of its base, and of that one's."""
    table = dict(tables[name])
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise InputError(f"profile {name}: base is the name of another profile, got {shown(base)}")
    if base not in tables or base in (*below, name):
        near = difflib.get_close_matches(base[:100], [other for other in tables if other != name], n=1)
        hint = f"; did you mean {near[0]}?" if near and base not in tables else ""
        why = "leads back to itself" if base in tables else "does not exist"
        raise InputError(f"profile {name}: its base {shown(base)} {why}{hint}")
    inherited = _with_base(base, tables, (*below, name))
    inherited.pop("about", None)
    return {**inherited, **table}


def _chosen(profiles: Mapping[str, Profile], name: str, what: str) -> Profile:
    if name not in profiles:
        near = difflib.get_close_matches(name[:100], profiles, n=1)
        hint = f"did you mean {near[0]}? There" if near else "there"
        raise InputError(f"there is no {what} {shown(name)}; {hint} are: {', '.join(profiles)}, or give a FILE.toml")
    return profiles[name]
