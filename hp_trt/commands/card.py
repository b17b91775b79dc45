"""`hp-trt card`: the README that a model hub expects beside a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError, OutputError
from engines.manifest import CARD_NAME, came_with_us
from engines.safe_output import check_outputs, check_place, safe_output, same_file
from hp_trt.commands import options
from hp_trt.console import Reporter
from runtime.enhancer.presets import MODEL as ENHANCER

if TYPE_CHECKING:
    from engines.bundle import Bundle

OUT = "Where to [README.md in the bundle, where hubs look for it]."


def card(
    bundle: options.Bundle,
    out: Annotated[Path | None, typer.Option(help=OUT)] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write the model card of a bundle, licence first. Every file of the bundle is checked."""
    from engines.bundle import Bundle

    place = place_of(Bundle.open(bundle, family=""), out)  # before gigabytes are hashed
    opened = Bundle.open(bundle)
    text, words = text_of(opened)
    with Reporter(as_json=json) as report:
        with safe_output(place) as path:
            path.write_text(text, encoding="utf-8")
        report.result(f"{place}: the card of {opened.manifest.preset}, licence: {words}", out=place, licence=words)


def text_of(bundle: Bundle) -> tuple[str, str]:
    """The card of an opened bundle, of one that animates or of the enhancer, and its licence in a few words."""
    from hp_trt.enhancer import card as of_enhancer
    from hp_trt.enhancer.opened import roles_of
    from hp_trt.enhancer.terms import licence_of
    from hp_trt.interface.model_card import card_text
    from hp_trt.interface.sealing import licence

    if bundle.manifest.model == ENHANCER:
        return of_enhancer.card_text(bundle), licence_of(bundle.manifest, tuple(roles_of(bundle)))
    return card_text(bundle), licence(bundle.manifest.weights)


def place_of(bundle: Bundle, out: Path | None) -> Path:
    """Where the card goes. Raises InputError and OutputError: it would replace a file that is no card of ours."""
    from hp_trt.interface.model_card import MARK

    if out is None:
        if came_with_us(bundle.manifest.to_json()):
            raise InputError(f"{bundle.path} came with hp-trt, and nothing is written there; say where to by --out")
        out = bundle.path / CARD_NAME
    if out.name == CARD_NAME and same_file(out.parent, bundle.path):
        check_place(out)
    else:
        check_outputs({"the card": out}, {"the bundle": bundle.path}, suffixes=(".md",))
    try:
        if out.exists() and MARK not in out.read_text(encoding="utf-8", errors="replace"):
            raise OutputError(f"{out} is there and is no card of ours; move it, or give another name by --out")
    except OSError as error:
        raise OutputError(f"{out} cannot be read: {error.strerror}; give another name by --out") from error
    return out
