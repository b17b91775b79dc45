"""Which clips are enlarged: their sidecar says the very clip that is there, and the same bundle and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engines.bundle import Bundle
from hp_trt.apps.batch.config import BatchConfig
from hp_trt.apps.batch.done import why_not_as_asked
from hp_trt.apps.batch.enlarging import Enlarging
from hp_trt.enhancer.asked import notes_of
from hp_trt.enhancer.files import origin_of
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.terms import licence_of
from hp_trt.provenance.run_seal import Prepared
from hp_trt.provenance.sidecar import Input, beside, read_sidecar


@dataclass(frozen=True, kw_only=True)
class EnlargedRecipes:
    """What the sidecar of each enlarged clip has to say. No graph is opened."""

    config: BatchConfig
    enlarging: Enlarging
    bundle: Bundle  # of the enhancer
    options: Options
    prepared: Prepared | None = None  # who signs; None: nothing is sealed

    @classmethod
    def of(cls, config: BatchConfig, enlarging: Enlarging) -> EnlargedRecipes:
        """Raises BundleError for a bundle of another model, InputError for options that it cannot do."""
        bundle = Bundle.open(enlarging.bundle, family="")
        roles_of(bundle)
        return cls(config=config, enlarging=enlarging, bundle=bundle, options=enlarging.chosen(bundle))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before the bundle is used."""
        return notes_of(self.bundle)

    @property
    def about(self) -> dict[str, Any]:
        """For the report."""
        options = self.options.facts()
        return {"bundle": self.bundle.path.name, "licence": licence_of(self.bundle.manifest, self._roles), **options}

    def why_not_done(self, out: str) -> str | None:
        """Of the clip `out`, which is there and is what its sidecar says. None: it is enlarged; else what is wrong
        with the larger one; "" where there is none."""
        folder = self.config.out
        clip = read_sidecar(beside(folder / out)).result.sha256
        path = folder / self.enlarging.name_of(out)
        return why_not_as_asked(path, lambda: self._recipe(clip), self.config.provenance, self.prepared)

    def _recipe(self, clip: str) -> Mapping[str, Any]:
        return {**self._of_all, "inputs": {"video": clip}}

    @cached_property
    def _roles(self) -> tuple[str, ...]:
        return tuple(roles_of(self.bundle))

    @cached_property
    def _of_all(self) -> dict[str, Any]:
        nothing = Input(name=None, sha256=None, of="file")
        return origin_of(self.bundle, self._roles, nothing, self.options.facts()).recipe
