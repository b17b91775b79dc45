"""The models that there are, by name: each is imported when a bundle asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from hp_trt.config import RuntimeConfig
from hp_trt.model import Driver, Model
from hp_trt.profiles import Profile
from runtime.enhancer.presets import MODEL as ENHANCER

MODELS = {  # name -> module:class
    "hunyuanportrait": "hp_trt.hunyuanportrait.model:HunyuanPortrait",
    "hallo2": "hp_trt.hallo2.model:Hallo2",
}
# What moves a portrait -> the words that build a bundle which it moves, to begin with.
BUILDS: Mapping[Driver, str] = {
    "video": "python -m export.build_engines --preset pocket --bundle BUNDLE",
    "audio": "python -m export.build_engines --preset talk_pocket --bundle BUNDLE",
}


def find_model(bundle: Bundle) -> type[Model]:
    """The model that the bundle was built for.

    Raises BundleError for one that is not known here, and for a bundle that it cannot work with (`Model.check_bundle`).
    """
    name = bundle.manifest.model
    if name == ENHANCER:
        raise BundleError(
            f"{bundle.path} is a bundle of the enhancer, which makes videos larger and animates nothing; use it with "
            "hp-trt enhance, and give a bundle of a model that animates here"
        )
    if name not in MODELS:
        raise BundleError(
            f"{bundle.path} is for the model {name}, this version has: {', '.join(MODELS)}; "
            "use the version of hp-trt that built the bundle, or build another bundle"
        )
    model = _model(name)
    model.check_bundle(bundle)
    return model


def driver_of(model: str) -> Driver | None:
    """What moves a model's portraits, by the model's name alone; None: it is not known here."""
    return _model(model).driver if model in MODELS else None


def _model(name: str) -> type[Model]:
    module, _, found = MODELS[name].partition(":")
    model: type[Model] = getattr(import_module(module), found)
    return model


def check_driver(
    bundle: Bundle, *, video: object = None, audio: object = None, of_the_other: Mapping[str, object] | None = None
) -> None:
    """Raises InputError unless the one of two that moves this bundle's portraits was given, and the other was not.

    `of_the_other`: arguments by name that only the other one has; None and False are none.
    """
    driver = find_model(bundle).driver
    if (video is None) == (audio is None):
        raise InputError(
            f"a portrait is moved by a driving video or by speech, got {'neither' if video is None else 'both'}; this "
            f"bundle's are moved by {_NAMES[driver]}: give that alone"
        )
    given: Driver = "audio" if video is None else "video"
    if given != driver:
        raise InputError(
            f"{bundle.path} is for {bundle.manifest.model}, whose portraits are moved by {_NAMES[driver]}, not by "
            f"{_NAMES[given]}; give that, or build another bundle: {BUILDS[given]}"
        )
    check_stray(driver, of_the_other or {})


def check_stray(driver: Driver, of_the_other: Mapping[str, object]) -> None:
    """Raises InputError for arguments that only portraits with another driver have; None and False are none."""
    stray = [name for name, value in of_the_other.items() if not (value is None or value is False)]
    if stray:
        other: Driver = "audio" if driver == "video" else "video"
        raise InputError(
            f"{', '.join(stray)}: only for a portrait that {_NAMES[other]} moves, this bundle's are moved by "
            f"{_NAMES[driver]}; leave it out"
        )


def check_takes(bundle: Bundle | Path, driver: Driver, command: str, instead: str) -> None:
    """Raises InputError unless `driver` moves the bundle's portraits, as `command` does, which knows nothing else.

    `instead`: what to do. Of a bundle that is not open yet the manifest is enough.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family="")
    own = find_model(opened).driver
    if own != driver:
        raise InputError(
            f"{opened.path} is for {opened.manifest.model}, whose portraits are moved by {_NAMES[own]}: {command} "
            f"moves them by {_NAMES[driver].replace('a driving', 'a')} alone; {instead}"
        )


_NAMES: Mapping[Driver, str] = {"video": "a driving video", "audio": "speech (audio)"}


def profile_of(bundle: Bundle | Path | str, config: RuntimeConfig) -> Profile:
    """The profile of `config` as the bundle's model has it.

    Of a bundle that is not open yet the manifest is enough: a wrong name is told before gigabytes are hashed. Raises
    InputError for a name that does not exist, BundleError.
    """
    if isinstance(config.profile, Profile):
        return config.profile
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family="")
    return find_model(opened).profiles.find(config.profile)
