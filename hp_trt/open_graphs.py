"""What a configuration opens: the backend, and the graphs of a bundle, as profiles need them.

Profiles share what both need; a graph that is opened from a plan is opened from one that fits this machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from engines import families
from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.checked_files import ahead, check_files, read_checked
from engines.cores import available_cores
from engines.errors import BundleError, InputError
from engines.gpu import require_gpu
from engines.manifest import build_command, mending, plan_command
from engines.plan_choice import Here, choose_plans
from engines.spec import NetworkSpec, plain_name
from hp_trt.config import RuntimeConfig
from hp_trt.profiles import Profile


def open_backend(config: RuntimeConfig, bundle: Path) -> Backend:
    """What runs the graphs of `bundle`. Raises EngineMismatch when this machine cannot."""
    if families.find(config.family).has_plans:
        from engines.trt_backend import open_trt_backend

        return open_trt_backend(
            config.family,
            device_id=config.device_id,
            beside=bundle,
            weight_budget_bytes=config.weight_budget_bytes,
            overlap_decode=config.overlap_decode,
        )
    from engines.onnx_backend import OnnxBackend

    return OnnxBackend(provider=config.provider, threads=config.threads, device_id=config.device_id)


class _ToOpen(NamedTuple):
    """One graph."""

    name: str
    file: Path
    weights: Path | None  # the graph that holds them, where the file does not


class OpenGraphs:
    """The sessions of one bundle on one backend, each opened once. Closes them; the backend is the caller's.

    `streamed`, `added_by`: as `hp_trt.model.Model` has them.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: RuntimeConfig,
        backend: Backend,
        *,
        streamed: Collection[str],
        added_by: Mapping[str, str],
    ) -> None:
        self._bundle, self._config, self._backend = bundle, config, backend
        self._streamed, self._added_by = streamed, added_by
        self.sessions: dict[str, Session] = {}  # by graph; those of live stages have their threads to themselves
        self._beside: dict[str, Session] = {}
        self._opened = ExitStack()

    def of(self, profile: Profile, roles: Mapping[str, str]) -> dict[str, Session]:
        """The sessions that `profile` needs, opened where they were not: by graph, and by what the loops call them.

        `roles` are its model's (`hp_trt.model.Model.roles`).
        Raises BundleError when the bundle lacks a graph, EngineMismatch when one cannot run here, InputError for
        products that the family has not.
        """
        if not families.find(self._config.family).computes(profile.quantize):
            raise InputError(
                f"the profile {profile.name} is for {profile.quantize} products, {self._config.family} has none; set "
                'quantize = "none", or use another family'
            )
        live = profile.mode == "live"
        if live:  # a window is decoded while the next one is denoised; of a window, activations are small
            self._backend.overlap_decode()
        beside = {roles[r] for r in self._streamed if r in roles} if live and self._backend.concurrent else set()
        missing = [name for name in roles.values() if name not in (self._beside if name in beside else self.sessions)]
        for name, file, weights in self._files(missing):
            spec = self._bundle.spec(name)
            threads = live_threads(spec, self._config.threads) if name in beside else None
            session = self._backend.load(spec, file, weights, threads=threads)
            self._opened.callback(session.close)
            (self._beside if name in beside else self.sessions)[name] = session
        found = {name: (self._beside if name in beside else self.sessions)[name] for name in roles.values()}
        return found | {role: found[name] for role, name in roles.items()}

    def close(self) -> None:
        """Let go of all of them, the last one first. Twice is fine."""
        self._opened.close()

    def _files(self, names: Sequence[str]) -> Iterator[_ToOpen]:
        """What is to be opened. The backend has the bytes of plans then, held against their hash as they were read."""
        bundle, config = self._bundle, self._config
        for name in names:
            if name not in bundle:
                option = option_for(name, self._added_by)
                raise BundleError(
                    f"{bundle.path} has no graph {name}, which this profile needs; build it: "
                    + f"{build_command(bundle.path, bundle.manifest.to_json())} {option}".rstrip()
                )
        family = families.find(config.family)
        if not family.has_plans or not names:
            bundle.check_graphs(names)
            yield from (_ToOpen(name, bundle.model_path(name), None) for name in names)
            return
        here = Here(family=family.name, version=families.load(family).__version__, gpu=require_gpu(config.device_id))
        chosen = choose_plans(bundle, here, names)
        options = chosen.target.options
        if config.weight_budget_bytes is not None and not options.weight_streaming:
            streaming = replace(chosen.target, options=replace(options, weight_streaming=True))
            raise InputError(
                "a weight budget is for plans built with --weight-streaming, those in "
                f"{bundle.path / chosen.target.folder} were not; leave it out, or build: "
                + plan_command(bundle.path, family.name, streaming)
            )
        mend = f"rebuild it: {plan_command(bundle.path, family.name, chosen.target)}"

        def read(opened: _ToOpen) -> memoryview:
            if opened.weights is not None:
                rebuild = mending(bundle.path, bundle.manifest.to_json())
                check_files(bundle.path, {p: (file, rebuild) for p, file in bundle.graph(opened.name).files.items()})
            plan = chosen.plans[opened.name]
            return read_checked(opened.file, plan.files[plan.main], mend)

        weights = {n: bundle.model_path(n) if options.strip else None for n in names}
        plans = [_ToOpen(n, bundle.path / chosen.plans[n].main, weights[n]) for n in names]
        for opened, content in ahead(plans, read):
            self._backend.prepare(opened.file, content)
            yield opened


def option_for(graph: str, added_by: Mapping[str, str]) -> str:
    """What a build is asked for `graph` with, beside what every build makes; empty: nothing."""
    plain, kind = plain_name(graph)
    return f"--quantize {kind}" if kind else added_by.get(plain, "")


def live_threads(spec: NetworkSpec, threads: int | None) -> int:
    """How many of the CPU's threads a graph has that runs beside others: half of them denoise."""
    whole = threads or available_cores()
    return max(1, whole // 2 if spec.repeated and spec.lane == "denoise" else whole // 4)
