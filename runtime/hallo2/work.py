"""What a video is, as calls of graphs and pieces of the host's work: beside the loop that makes the calls.

Clips are made one after the other, so of a step there is one window, the clip's, and what is held at one time is a
clip, however long the video.
"""

from __future__ import annotations

from collections import Counter

from runtime.hallo2.presets import FPS, PIECE_S
from runtime.hallo2.sampling import Sampling
from runtime.work import Call, Work


def clip_work(
    frames: int,
    sampling: Sampling,
    *,
    clip: int,
    motion_frames: int,
    denoiser: str = "talk_denoiser",
    both: bool = True,
    decoder: str = "talk_vae_decoder",
) -> Work:
    """`frames` of sound, 25 a second, in clips of `clip` (F) frames that go on from `motion_frames` (m).

    `both`: the denoiser runs both halves of guidance; else the conditional one alone.
    """
    clips = -(-frames // clip)
    padded = clips * clip
    steps, halves = sampling.steps, 2 if both else 1
    pieces = [min(PIECE_S * FPS, frames - start) for start in range(0, frames, PIECE_S * FPS)]
    pieces[-1] += padded - frames  # silence, up to a whole clip
    tail, chunk = min(motion_frames, clip), min(sampling.decode_chunk, clip)
    lengths = _chunks(tail, chunk) + _chunks(clip - tail, chunk)
    return Work(
        mode="clip",
        frames=frames,
        steps=steps,
        rows=halves * steps,
        windows=1,
        window=clip,
        new_frames=clip,
        padded=clip,
        graphs={
            "portrait": (
                Call(graph="talk_identity", units=1, times=1),
                Call(graph="talk_vae_encoder", units=1, times=1),
                Call(graph="reference", units=2, times=1),
                Call(graph="bank_kv", units=1, times=1),
            ),
            "speech": tuple(Call(graph="speech_encoder", units=n, times=k) for n, k in sorted(Counter(pieces).items())),
            "audio_tokens": (Call(graph="audio_tokens", units=clip, times=clips),),
            "motion_frames": (Call(graph="talk_vae_encoder", units=motion_frames, times=clips),),
            "reference": (Call(graph="reference", units=halves * motion_frames, times=clips),),
            "denoise": (
                Call(graph="talk_steps", units=steps, times=1),
                Call(graph=denoiser, units=1, times=steps * clips, frames=clip),
            ),
            "stitch": (Call(graph="stitch", units=1, times=steps * clips, frames=clip, total=clip),),
            "decode": tuple(Call(graph=decoder, units=n, times=k * clips) for n, k in sorted(lengths.items())),
        },
        host={"write": frames},
    )


def _chunks(frames: int, chunk: int) -> Counter[int]:
    """How many chunks there are of each length."""
    whole, rest = divmod(frames, chunk)
    return Counter({chunk: whole}) + Counter({rest: 1 if rest else 0})
