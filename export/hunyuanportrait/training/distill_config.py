"""Whose weights are distilled, and on which clips: what a user asked for, checked before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.errors import InputError
from export.hunyuanportrait.architecture import DISTILLED
from export.hunyuanportrait.presets import PRESETS
from export.hunyuanportrait.training.distillation import DistillAmounts, Distillation
from export.hunyuanportrait.training.recorded import RecordedClips, Recording
from export.hunyuanportrait.upstream import find_user_files
from export.hunyuanportrait.weights import live_weights, open_source
from export.models import find_model
from export.training.files import make_run_folder
from export.training.phase import Settings
from export.weights.own import own_weights
from export.weights.packed import LiveWeights
from export.weights.source import WeightsSource, WithLive
from hp_trt.config import RuntimeConfig
from hp_trt.faces.arcface import open_arcface
from hp_trt.faces.locators import Locator, open_locator

DRAWN = "pocket"  # the preset whose teacher knows people that are drawn


def usual_amounts(preset: str) -> DistillAmounts:
    """How much of everything where a user says nothing: published weights take more steps, each a smaller one."""
    if preset == DRAWN:
        return DistillAmounts()
    return DistillAmounts(student_steps=4000, student_rate=1e-5, rollout_steps=1000, rollout_rate=3e-6)


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Checked when made: InputError for what does not go together. Files are opened by the methods, and checked there.

    Without videos, on drawn people.
    """

    preset: str = DRAWN
    weights: Path | None = None  # the teacher's; None: those that come with the package
    live_weights: Path | None = None  # networks that are not learnt again; None: all are learnt
    videos: Path | None = None  # a folder
    locator: Locator = "haar"  # of faces in the videos
    locator_file: Path | None = None
    arcface: Path | None = None  # None: the one in upstream's folder `weights`, if it has one
    amounts: DistillAmounts = field(default_factory=DistillAmounts)

    def __post_init__(self) -> None:
        find_model(self.preset)  # says so of one that there is not
        if self.videos is None and self.preset != DRAWN:
            raise InputError(
                f"{self.preset} needs --videos FOLDER: its weights know filmed people, and only pocket's know "
                "drawn ones"
            )
        if self.weights is None and self.preset != DRAWN:
            raise InputError(
                f"{self.preset} needs --weights DIR, upstream's pretrained_weights folder; only pocket has weights of "
                "its own"
            )
        if self.videos is None and (self.locator != "haar" or self.locator_file or self.arcface):
            raise InputError("--locator, --locator-file and --arcface are for --videos; give a folder of them, or none")
        RuntimeConfig(locator=self.locator, locator_file=self.locator_file)  # says what does not go together

    def recording(self) -> Recording | None:
        """What to cut clips from. Raises InputError for a face finder, ArcFace or a folder that cannot be used."""
        if self.videos is None:
            return None
        arcface = self.arcface
        if arcface is None and self.weights is not None and self.weights.is_dir():
            arcface = find_user_files(self.weights).get("arcface")
        recording = Recording(videos=self.videos, locator=self.locator, locator_file=self.locator_file, arcface=arcface)
        recording.files()
        open_locator(recording.locator, recording.locator_file)
        if arcface is not None:
            open_arcface(arcface)
        return recording

    def teacher(self) -> WeightsSource:
        """Raises CheckpointError for weights that cannot be used."""
        weights = self.weights or own_weights(self.preset)
        return open_source(PRESETS[self.preset].architecture, weights, preset=self.preset)

    def live(self, teacher: WeightsSource) -> LiveWeights | None:
        """Raises CheckpointError for a file that cannot be used, or a student of another teacher."""
        if self.live_weights is None:
            return None
        live = live_weights(PRESETS[self.preset].architecture, self.live_weights, preset=self.preset)
        WithLive(teacher, live, distilled=DISTILLED)  # says so of another teacher's
        return live

    def distillation(self, settings: Settings) -> Distillation:
        """In the folder of `settings`, which is made once everything else is known to be good. Raises InputError and
        CheckpointError."""
        preset, recording, teacher = PRESETS[self.preset], self.recording(), self.teacher()
        live = self.live(teacher)
        make_run_folder(settings.folder)
        recorded = None
        if recording is not None:
            recorded = RecordedClips(
                folder=settings.folder / "clips",
                recording=recording,
                count=self.amounts.clips,
                held_out=self.amounts.held_out,
                frames=self.amounts.frames,
                px=preset.size,
                motion_px=preset.motion_px,
            )
        # A state of the full size is 25 GB: written every minute, it would be all that is done.
        seldom = settings if self.preset == DRAWN else replace(settings, save_every_s=1800.0)
        return Distillation(preset, self.amounts, seldom, teacher, recorded=recorded, live=live)
