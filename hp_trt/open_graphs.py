"""What a configuration opens: the backend, and the graphs of a bundle, as profiles need them.

Profiles share what both need; a graph that is opened from a plan is opened from one that fits this machine. On a CPU
the plans' own table says which engine runs each graph, and in what precision.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from engines import families
from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.checked_files import ahead, check_files, read_checked
from engines.cores import available_cores
from engines.errors import BundleError, EngineMismatch, InputError
from engines.host_memory import ENOUGH_TO_SHARE
from engines.manifest import build_command, mending, plan_command
from engines.plan_choice import choose_plans, find_here
from engines.spec import NetworkSpec, plain_name
from hp_trt.config import RuntimeConfig
from hp_trt.profiles import Profile


def open_backend(config: RuntimeConfig, bundle: Path) -> Backend:
    """What runs the graphs of `bundle`. Raises EngineMismatch when this machine cannot."""
    family = families.find(config.family)
    if family.plans_for == "cpu":
        from engines.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(threads=config.threads)
    if family.has_plans:
        from engines.trt_backend import open_trt_backend

        return open_trt_backend(
            family.name,
            device_id=config.device_id,
            beside=bundle,
            weight_budget_bytes=config.weight_budget_bytes,
            overlap_decode=config.overlap_decode,
        )
    if config.devices:
        from engines.spread_backend import SpreadBackend

        return SpreadBackend(config.devices, provider=config.provider, threads=config.threads)
    from engines.onnx_backend import OnnxBackend

    return OnnxBackend(provider=config.provider, threads=config.threads, device_id=config.device_id)


Replaced = TypeVar("Replaced", bound=Session)


class _ToOpen(NamedTuple):
    """One graph."""

    name: str
    file: Path
    weights: Path | None = None  # the graph that holds them, where the file does not
    bf16: bool = False


class UsesGraphs(Protocol):
    """What of `hp_trt.model.Model` says how its graphs are opened."""

    streamed: ClassVar[frozenset[str]]
    beside: ClassVar[frozenset[str]]
    in_bf16: ClassVar[frozenset[str]]
    added_by: ClassVar[Mapping[str, str]]


class _Way(NamedTuple):
    """How a graph is opened."""

    threads: int | None = None  # None: all
    calls: int = 1
    bf16: bool = False


class OpenGraphs:
    """The sessions of one bundle on one backend, each opened once. Closes them; the backend is the caller's.

    `streamed`, `beside`, `added_by`, `in_bf16`: as `hp_trt.model.Model` has them.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: RuntimeConfig,
        backend: Backend,
        *,
        streamed: Collection[str],
        added_by: Mapping[str, str],
        beside: Collection[str] = (),
        in_bf16: Collection[str] = (),
    ) -> None:
        self._bundle, self._config, self._backend = bundle, config, backend
        self._streamed, self._beside, self._added_by, self._in_bf16 = streamed, beside, added_by, in_bf16
        self.sessions: dict[str, Session] = {}  # by graph: what has all threads, one call at a time
        self._others: dict[tuple[str, _Way], Session] = {}  # opened in other ways
        self._opened = ExitStack()

    @classmethod
    def of_model(cls, model: type[UsesGraphs], bundle: Bundle, config: RuntimeConfig, backend: Backend) -> OpenGraphs:
        """Those of a bundle of `model`."""
        roles = {"streamed": model.streamed, "beside": model.beside, "in_bf16": model.in_bf16}
        return cls(bundle, config, backend, added_by=model.added_by, **roles)

    def of(self, profile: Profile, roles: Mapping[str, str]) -> dict[str, Session]:
        """The sessions that `profile` needs, opened where they were not: by graph, and by what the loops call them.

        `roles` are its model's (`hp_trt.model.Model.roles`).
        Raises BundleError when the bundle lacks a graph, EngineMismatch when one cannot run here, InputError for
        products that the family has not.
        """
        self._check_products(profile)
        self._check_devices(profile)
        live = profile.mode == "live"
        if live:  # a window is decoded while the next one is denoised; of a window, activations are small
            self._backend.overlap_decode()
        in_bf16 = {roles[r] for r in self._in_bf16 if r in roles} if profile.precision == "bf16" else set()
        ways = {name: way._replace(bf16=name in in_bf16) for name, way in self._ways(live, roles).items()}
        missing = [name for name, way in ways.items() if self._found(name, way) is None]
        with ExitStack() as fresh:
            made = {}
            files = self._files(missing, in_bf16)
            for name, file, weights, bf16 in files:
                spec, way = self._bundle.spec(name), ways[name]
                try:
                    made[name] = self._backend.load(
                        spec, file, weights, threads=way.threads, calls=way.calls, bf16=bf16
                    )
                except Exception as error:
                    files.throw(error)  # which knows whether a file is damaged
                    raise
                fresh.callback(made[name].close)
            self._opened.push(fresh.pop_all())  # behind the last file all are what was built
        for name, session in made.items():
            self._keep(session, name, ways[name])
        opened = {name: found for name, way in ways.items() if (found := self._found(name, way))}
        return opened | {role: opened[name] for role, name in roles.items()}

    def calls(self, profile: Profile, roles: Mapping[str, str]) -> dict[str, int]:
        """How many of a graph's calls a clip or a session of `profile` runs at one time: by graph."""
        return {name: way.calls for name, way in self._ways(profile.mode == "live", roles).items()}

    @contextmanager
    def replaced(
        self, profile: Profile, roles: Mapping[str, str], role: str, by: Callable[[Session], Replaced]
    ) -> Iterator[Replaced]:
        """Meanwhile `by(session)` stands in the place of the session that `profile` has for `role`."""
        usual = self.of(profile, roles)[role]
        kept: tuple[dict[Any, Session], ...] = (self.sessions, self._others)
        found = [(held, key) for held in kept for key, one in held.items() if one is usual]
        replaced = by(usual)
        try:
            for held, key in found:
                held[key] = replaced
            yield replaced
        finally:
            for held, key in found:
                held[key] = usual

    def close(self) -> None:
        """Let go of all of them, the last one first. Twice is fine."""
        self._opened.close()

    def _ways(self, live: bool, roles: Mapping[str, str]) -> dict[str, _Way]:
        """By graph: stages of a live session have threads of their own, a clip's calls share all of them."""
        ways = dict.fromkeys(roles.values(), _Way())
        if live and self._backend.concurrent:
            for name in (roles[role] for role in self._streamed if role in roles):
                ways[name] = _Way(threads=live_threads(self._bundle.spec(name), self._config.threads))
        elif not live:
            for name in (roles[role] for role in self._beside if role in roles):
                ways[name] = _Way(calls=self._backend.calls)
        return ways

    def _found(self, name: str, way: _Way) -> Session | None:
        return self.sessions.get(name) if way == _Way() else self._others.get((name, way))

    def _keep(self, session: Session, name: str, way: _Way) -> None:
        if way == _Way():
            self.sessions[name] = session
        else:
            self._others[name, way] = session

    def _check_products(self, profile: Profile) -> None:
        """Raises InputError for products that the family has not, EngineMismatch for those that the CPU has not."""
        family = families.find(self._config.family)
        if not family.computes(profile.quantize):
            raise InputError(
                f"the profile {profile.name} is for {profile.quantize} products, {family.name} has none; set "
                'quantize = "none", or use another family'
            )
        if profile.precision == "bf16" and not family.in_bf16:
            raise InputError(
                f"the profile {profile.name} is for bf16 products, {family.name} has none; set "
                'precision = "exported", or use --family openvino'
            )
        if profile.precision == "bf16" and not self._backend.has_bf16:
            raise EngineMismatch(
                f"the profile {profile.name} is for bf16 products, and {self._backend.device} has none; set "
                'precision = "exported"'
            )

    def _check_devices(self, profile: Profile) -> None:
        """Raises InputError for several devices where a clip has nothing to spread over them."""
        if not self._config.devices:
            return
        if not self._beside:
            raise InputError(
                f"{self._bundle.path} makes a clip piece by piece, each from the one before, which several devices do "
                "not help; leave devices out, and make several clips at a time"
            )
        if profile.mode == "live":
            raise InputError(
                f"the profile {profile.name} makes windows one after the other, which several devices do not help; "
                "leave devices out, or take a profile of mode clip"
            )

    def _files(self, names: Sequence[str], in_bf16: Collection[str]) -> Generator[_ToOpen]:
        """What is to be opened. The backend has the bytes of plans then, held against their hash as they were read;
        weights of graphs are held against theirs by the end, which raises BundleError."""
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
            with bundle.checking_graphs(names):
                for name in names:
                    yield _ToOpen(name, bundle.model_path(name))
            return
        chosen = choose_plans(bundle, find_here(family, config.device_id), names)
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
        tables = {name: chosen.plans[name].engine for name in names}
        engines = {name: table.engine(bf16=name in in_bf16) for name, table in tables.items() if table}
        as_they_are = [name for name, engine in engines.items() if engine == "onnxruntime"]
        with bundle.checking_graphs(as_they_are):
            for name in as_they_are:
                yield _ToOpen(name, bundle.model_path(name))
        plans = []
        for name in names:
            if name not in as_they_are:
                main = bundle.path / chosen.plans[name].main
                plans.append(_ToOpen(name, main, weights[name], bf16=engines.get(name) == "openvino-bf16"))
        for opened, content in ahead(plans, read):
            self._backend.prepare(opened.file, content)
            yield opened


def option_for(graph: str, added_by: Mapping[str, str]) -> str:
    """What a build is asked for `graph` with, beside what every build makes; empty: nothing."""
    plain, kind = plain_name(graph)
    return f"--quantize {kind}" if kind else added_by.get(plain, "")


def live_threads(spec: NetworkSpec, threads: int | None) -> int:
    """How many of the CPU's threads a graph has that runs beside others: half of them denoise, where they are shared
    out; of few, all."""
    whole = threads or available_cores()
    if not shared_out(whole):
        return whole
    return whole // 2 if spec.repeated and spec.lane == "denoise" else whole // 4


def shared_out(threads: int | None) -> bool:
    """Whether graphs that run beside each other have a share of the CPU's threads each, and do not slow each other."""
    return (threads or available_cores()) >= ENOUGH_TO_SHARE
