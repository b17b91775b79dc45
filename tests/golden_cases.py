"""Golden cases: find them, load them, compare with them. The format is in `golden/README.md`, with some additions for
the second model in `golden_hallo2/README.md`.

`HP_TRT_GOLDEN`, and `HP_TRT_GOLDEN_HALLO2`, point the same tests at another folder of the same form, so nothing here
and in the tests that use it knows a case by its name.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from export.weights.random import random_weight

SHIPPED = Path(__file__).parent / "golden"
FOLDER = Path(os.environ.get("HP_TRT_GOLDEN") or SHIPPED)
HALLO2_SHIPPED = Path(__file__).parent / "golden_hallo2"
HALLO2_FOLDER = Path(os.environ.get("HP_TRT_GOLDEN_HALLO2") or HALLO2_SHIPPED)
MANIFESTS = Path(__file__).parent / "manifests"
HALLO2_MANIFESTS = Path(__file__).parent / "manifests_hallo2"

NETWORK_TOLERANCE = 5e-5  # relative to an output's rms; fp32 against fp64 alone costs up to 1.3e-5 on these networks
LOOP_TOLERANCE = 5e-4  # a loop feeds a network's rounding back into it, once a step
SMALLEST_SCALE = 1e-3  # below it, an output is compared as if its rms were this


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recorded case with its inputs made and its expected outputs loaded."""

    name: str
    facts: Mapping[str, Any]  # the json, whole
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    intermediates: Mapping[str, np.ndarray]
    weight_prefix: str
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        return self.facts["config"]

    @property
    def options(self) -> dict[str, Any]:
        return self.facts["options"]

    def manifest(self) -> dict[str, list[int]] | None:
        """The exact key -> shape of the network, where the case names a file."""
        name = self.facts.get("manifest")
        if name is None:
            return None
        data = json.loads((self.folder / name).read_text())
        return data.get("keys", data)


@cache
def facts(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Every case's json, by case name."""
    return {p.stem: json.loads(p.with_suffix(".json").read_text()) for p in sorted(folder.glob("*.safetensors"))}


def discover(*, kind: str | None = None, targets: Iterable[str] | None = None, folder: Path = FOLDER) -> list[str]:
    """Names of the cases of a kind, and of some targets of it."""
    wanted = None if targets is None else set(targets)
    return [
        name
        for name, fact in facts(folder).items()
        if (kind is None or fact["kind"] == kind) and (wanted is None or fact["target"] in wanted)
    ]


def golden_cases(
    *,
    kind: str | None = None,
    targets: Iterable[str] | None = None,
    folder: Path = FOLDER,
    group: Callable[[Mapping[str, Any]], Any] | None = None,
    long: Iterable[str] = (),
    longer: Callable[[Mapping[str, Any]], bool] = lambda fact: False,
) -> Callable[[Any], Any]:
    """Parametrize a test over `case_name`: ids carry the word golden, heavy ones are marked full_size.

    `group`, of a case's json: cases with equal answers share something costly, and run on one worker. Of the targets
    `long` the full-size cases take too long for every change: they are marked heavy too, as are those that `longer`
    says so of, by their json.
    """

    def marks(fact: Mapping[str, Any]) -> list[pytest.MarkDecorator]:
        by_size = [pytest.mark.full_size] if fact["heavy"] else []
        if by_size and (fact["target"] in long or longer(fact)):
            by_size.append(pytest.mark.heavy)
        if group is None:
            return by_size
        text = json.dumps(group(fact), sort_keys=True)
        return [*by_size, pytest.mark.xdist_group(f"{fact['target']}-{zlib.crc32(text.encode()):08x}")]

    parameters = [
        pytest.param(name, id=f"golden-{name}", marks=marks(facts(folder)[name]))
        for name in discover(kind=kind, targets=targets, folder=folder)
    ]
    return pytest.mark.parametrize("case_name", parameters)


def load_case(name: str, folder: Path = FOLDER) -> Case:
    rule = json.loads((folder / "rule.json").read_text())
    fact = facts(folder)[name]
    tensors = load_file(folder / f"{name}.safetensors")
    return Case(
        name=name,
        facts=fact,
        inputs={k: make_input(rule, spec, tensors) for k, spec in fact["inputs"].items()},
        outputs={k: tensors[entry["tensor"]] for k, entry in fact["outputs"].items()},
        intermediates={k: tensors[entry["tensor"]] for k, entry in fact.get("intermediates", {}).items()},
        weight_prefix=rule["weight_seed_prefix"],
        folder=folder,
    )


def make_input(rule: Mapping[str, str], spec: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """An input entry: a stored tensor, or one that the input rule makes."""
    if "tensor" in spec:
        return tensors[spec["tensor"]]
    shape, kind = tuple(spec["shape"]), spec["rule"]
    if kind == "zeros":
        x = np.zeros(shape, np.float32)
    elif kind == "weight":
        x = random_weight(spec["name"], shape, prefix=rule["weight_seed_prefix"])
    else:
        x = _random_input(rule["input_seed_prefix"] + spec["name"], kind, shape, spec)
    if "clamp" in spec:
        x = np.clip(x, *spec["clamp"])
    if "permute" in spec:
        x = np.ascontiguousarray(x.transpose(spec["permute"]))
    if "rows" in spec:
        x = np.concatenate([x * np.float32(factor) for factor in spec["rows"]])
    return x


def _random_input(seed_text: str, kind: str, shape: tuple[int, ...], spec: Mapping[str, Any]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(seed_text.encode()))
    if kind == "normal":
        return random.standard_normal(int(np.prod(shape))).astype(np.float32).reshape(shape)
    if kind == "uniform":
        return random.random_sample(int(np.prod(shape))).astype(np.float32).reshape(shape)
    if kind == "randint":
        return random.randint(spec["low"], spec["high"], shape).astype(spec["dtype"])
    raise ValueError(f"unknown input rule {kind!r}; known: normal, uniform, randint, zeros, weight")


def chain_tolerance(case: Case, clips: int) -> float:
    """Of the second model's chains and programs: as the vectors recommend, for up to two clips.

    Half banks flip values on a rounding edge. Rounding grows about ten times from clip to clip, because decoded frames
    feed the next one: computed in float64 a recorded program is 1.3e-3 away from its record after three clips, and 2e-4
    after two.
    """
    least = 1e-3 if case.options["bank_dtype"] == "float32" else 1e-2
    return least * 5 ** max(0, clips - 2)


def check(case: Case, results: Mapping[str, Any], tolerance: float, *, only: Iterable[str] | None = None) -> None:
    """Assert that `results` (arrays, or torch tensors) match the case's outputs.

    All outputs must be there, unless `only` names some. A result for an output `x_u8` may be given as `x`.
    """
    entries = case.facts["outputs"]
    names = list(entries) if only is None else [n for n in entries if n in set(only)]
    assert names, f"{case.name}: nothing to compare"
    for name in names:
        given = results[name] if name in results else results[name.removesuffix("_u8")]
        compare(f"{case.name}: {name}", given, entries[name], case.outputs[name], tolerance)


def check_intermediates(case: Case, results: Mapping[str, Any], tolerance: float) -> None:
    """Assert that the intermediates among `results` match; those that were not recorded are skipped."""
    entries = case.facts.get("intermediates", {})
    for name in entries.keys() & results.keys():
        compare(f"{case.name}: {name}", results[name], entries[name], case.intermediates[name], tolerance)


def compare(what: str, result: Any, entry: Mapping[str, Any], expected: np.ndarray, tolerance: float) -> None:
    """One result against one stored output entry: integers equal, uint8 within 1, floats relative to `scale`."""
    result = np.asarray(result)
    for part in entry.get("select", []):
        result = np.take(result, part["indices"], axis=part["axis"])
    if (encoding := entry.get("encoding")) and result.dtype != np.uint8:
        result = result.astype(np.float64) * encoding["multiply"] + encoding["add"]
        result = np.rint(result) if encoding["rounding"] == "nearest" else np.trunc(result)
    assert result.shape == expected.shape, f"{what}: shape {result.shape}, expected {expected.shape}"
    if expected.size == 0:
        return
    if expected.dtype == np.uint8:
        off = np.abs(result.astype(np.int64) - expected.astype(np.int64)).max()
        assert off <= 1, f"{what}: off by {off}, expected at most 1"
    elif np.issubdtype(expected.dtype, np.integer):
        assert np.array_equal(result, expected), f"{what}: integers differ"
    else:
        error = np.abs(result.astype(np.float64) - expected.astype(np.float64)).max()
        limit = tolerance * max(entry["scale"], SMALLEST_SCALE)
        assert error <= limit, f"{what}: error {error:.3g}, limit {limit:.3g}"  # a NaN fails too
