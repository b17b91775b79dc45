"""What this service is: its bundle, whose weights these are, profiles and limits."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from engines.manifest import OWN_SOURCE, Manifest
from hp_trt import __version__
from hp_trt.apps.service.asking import Owner, TheService, on_disk
from hp_trt.apps.service.bodies import EnhancerSaid, Info, PlanSaid, answers
from hp_trt.apps.service.enhance_lane import EnhancerBundle
from hp_trt.apps.service.planned import FRAMES
from hp_trt.enhancer.pipeline import SCALES

router = APIRouter(prefix="/v1/info", tags=["info"])


@router.get("", responses=answers("unauthorized"))
async def info(service: TheService, owner: Owner) -> Info:
    """What may be asked for here, and on which terms."""
    manifest, config = service.manifest, service.config
    return Info(
        version=__version__,
        preset=manifest.preset,
        model=manifest.model,
        kind=service.kinds[0],
        kinds=service.kinds,
        weights=str(manifest.weights["kind"]),
        licence=licence_of(manifest),
        profiles=list(config.profiles),
        clip_lanes=config.clip_lanes,
        live_lanes=config.live_lanes,
        limits=asdict(config.limits) | {"picture_megapixels": 64},
        jobs=await on_disk(service, service.jobs.counts, owner),
        plan=[
            PlanSaid(**asdict(one), frames=FRAMES, made_frames_per_s=service.jobs.frames_per_s(one.profile))
            for one in await on_disk(service, service.planned)
        ],
        notes=await on_disk(service, lambda: service.notes),
        enhancer=None if service.enhancer is None else _enhancer(service.enhancer),
    )


def _enhancer(found: EnhancerBundle) -> EnhancerSaid:
    manifest = found.bundle.manifest
    weights = str(manifest.weights["kind"])
    return EnhancerSaid(
        preset=manifest.preset, weights=weights, restores=found.restores, scales=list(SCALES), notes=found.notes
    )


def licence_of(manifest: Manifest) -> str:
    """On which terms results may be used, as far as the bundle says whose weights it has."""
    weights = manifest.weights
    if weights.get("source") == OWN_SOURCE:
        return "Apache-2.0: the weights came with hp-trt"
    if weights["kind"] == "random":
        return "none: the weights are random, and the face will be noise"
    if weights["kind"] == "published":
        return "the published weights' own terms: for academic research only (NOTICE)"
    return "that of whoever trained the weights: the bundle does not say"
