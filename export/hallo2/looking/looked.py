"""A portrait and speech through the literal program, and what its frames attend to (`attention.py`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engines.errors import InputError
from export.attention_maps.asked import STEPS, Asked
from export.attention_maps.maps import Looked
from export.hallo2.looking.attention import FRAME, PORTRAIT, Watched, watching
from export.hallo2.presets import PRESETS
from export.hallo2.reference.audio_plan import audio_plan
from export.hallo2.reference.chain import Options, run_chain
from export.hallo2.reference.program import to_saved, track_features
from export.hallo2.reference.raced import configs_of
from export.hallo2.reference.weights import load_networks
from export.hallo2.weights import open_source
from hp_trt.hallo2.portrait import talk_portrait
from hp_trt.hallo2.sound import Sound
from hp_trt.media.images import load_picture
from runtime.hallo2.presets import SAMPLES_PER_FRAME
from runtime.hallo2.sampling import Sampling

_CLIPS = 2  # the second goes on from frames that were made


def looked_at(asked: Asked, *, seed: int = 42) -> Looked:
    """Two clips of a preset, by its own guidance, and what the second one attends to.

    Without a mood a net that knows moods is neutral. Raises InputError, FaceNotFound, CheckpointError.
    """
    portrait, mood = asked.portrait, asked.mood
    chosen = PRESETS[asked.preset]
    own = Sampling.from_manifest(chosen.sampling)
    steps = asked.steps or min(STEPS, own.steps)
    if mood is not None and not chosen.architecture.denoising_unet.moods:
        raise InputError(f"the weights of {asked.preset} know no moods; leave the mood out")
    picture = load_picture(portrait)
    levels = len(chosen.architecture.denoising_unet.channels)
    crop = talk_portrait(picture.pixels, asked.locator, side_px=chosen.size, levels=levels, what=str(portrait))
    wave = _beginning(asked.driver, _CLIPS * chosen.frames * SAMPLES_PER_FRAME)
    networks = load_networks(
        configs_of(chosen.architecture), open_source(chosen.architecture, asked.weights, preset=asked.preset).state
    )
    options = Options(
        frames_per_clip=chosen.frames,
        motion_frames=chosen.motion_frames,
        num_inference_steps=steps,
        guidance_scale=own.guidance,
        bank_dtype="float32",
        size=chosen.size,
        mood=mood,
    )
    features = track_features(networks.speech_encoder, audio_plan(len(wave), frames_per_clip=chosen.frames), wave)
    generator = torch.Generator().manual_seed(seed)
    channels, side = networks.config.latent_channels, chosen.size // 8
    watched = Watched(clips=_CLIPS, steps=steps, motion_frames=chosen.motion_frames, frames=chosen.frames)
    with torch.no_grad(), watching(networks, watched):
        made = run_chain(
            networks,
            options,
            source_picture=torch.from_numpy(crop.source[0]),
            face_region=torch.from_numpy(crop.masks.face_region),
            embedding=torch.zeros(512),
            audio_features=features[: _CLIPS * chosen.frames],
            masks={
                name: [torch.from_numpy(level[row]) for level in crop.masks.levels]
                for row, name in enumerate(("full", "face", "lip"))
            },
            noise=torch.randn(_CLIPS, channels, chosen.frames, side, side, generator=generator),
            fields=torch.rand(_CLIPS, chosen.size, chosen.size, generator=generator),
        )
    source = np.clip(np.rint((crop.source[0].transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
    middle = to_saved(made.frames[-chosen.frames // 2 :][:1])[0]
    return Looked(pictures={PORTRAIT: source, FRAME: middle}, found=watched.maps())


def _beginning(audio: Path, samples: int) -> np.ndarray:
    """The first so many samples of a file as 16 bits; what is missing is silence. Raises InputError."""
    sound = next(iter(Sound(audio)), None)
    if sound is None:
        raise InputError(f"{audio} has no sound; give speech")
    wave = np.zeros(samples, np.int16)
    known = np.rint(sound[:samples] * 32768).astype(np.int16)
    wave[: len(known)] = known
    return wave
