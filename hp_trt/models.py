"""The models that there are, by name: each is imported when a bundle asks for it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import BundleError
from hp_trt.config import RuntimeConfig
from hp_trt.model import Model
from hp_trt.profiles import Profile

MODELS = {  # name -> module:class
    "hunyuanportrait": "hp_trt.hunyuanportrait.model:HunyuanPortrait",
}


def find_model(bundle: Bundle) -> type[Model]:
    """The model that the bundle was built for.

    Raises BundleError for one that is not known here, and for a bundle that it cannot work with (`Model.check_bundle`).
    """
    name = bundle.manifest.model
    if name not in MODELS:
        raise BundleError(
            f"{bundle.path} is for the model {name}, this version has: {', '.join(MODELS)}; "
            "use the version of hp-trt that built the bundle, or build another bundle"
        )
    module, _, found = MODELS[name].partition(":")
    model: type[Model] = getattr(import_module(module), found)
    model.check_bundle(bundle)
    return model


def profile_of(bundle: Bundle | Path | str, config: RuntimeConfig) -> Profile:
    """The profile of `config` as the bundle's model has it.

    Of a bundle that is not open yet the manifest is enough: a wrong name is told before gigabytes are hashed. Raises
    InputError for a name that does not exist, BundleError.
    """
    if isinstance(config.profile, Profile):
        return config.profile
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family="")
    return find_model(opened).profiles.find(config.profile)
