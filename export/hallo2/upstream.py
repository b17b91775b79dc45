"""The published weights, from upstream's folder layout, strictly.

    pretrained_models/hallo2/net.pth                                       five networks in one flat state dict
    pretrained_models/sd-vae-ft-mse/diffusion_pytorch_model.safetensors    or .bin
    pretrained_models/wav2vec/wav2vec2-base-960h/model.safetensors         or pytorch_model.bin
    pretrained_models/face_analysis/models/glintr100.onnx, pretrained_models/audio_separator/Kim_Vocal_2.onnx
                                                                           (optional, users bring them)

Two files come in several spellings, older and newer ones of the libraries that wrote them; all are taken. Everything
that is wrong with any of the files is told at once, in one CheckpointError.

Source: SPEC 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from export.hallo2.architecture import NETWORKS, PREFIXES, Architecture
from export.weights.checkpoints import Shapes, StateDict, fingerprint, module_shapes
from export.weights.folder import PublishedFile, read_folder, root_of

NET, VAE, SPEECH = "hallo2", "sd-vae-ft-mse", "wav2vec2-base-960h"  # the files, for people
PLACES: Mapping[str, tuple[str, ...]] = {
    NET: ("hallo2/net.pth",),
    VAE: ("sd-vae-ft-mse/diffusion_pytorch_model.safetensors", "sd-vae-ft-mse/diffusion_pytorch_model.bin"),
    SPEECH: ("wav2vec/wav2vec2-base-960h/model.safetensors", "wav2vec/wav2vec2-base-960h/pytorch_model.bin"),
}
FILE_OF: Mapping[str, str] = {**dict.fromkeys(NETWORKS, NET), "vae": VAE, "speech_encoder": SPEECH}
USER_FILES: Mapping[str, str] = {
    "arcface": "face_analysis/models/glintr100.onnx",
    "vocals": "audio_separator/Kim_Vocal_2.onnx",
}

# Spellings -> ours. Of the weight-normed position convolution, and of the autoencoder's attention.
_SPEECH = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
_KINDS = ("weight", "bias")
_VAE = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


class Checkpoints:
    """Upstream's folder, every file checked before anything is built. Raises CheckpointError."""

    kind = "published"

    def __init__(self, architecture: Architecture, folder: Path) -> None:
        shapes = {network: module_shapes(architecture.build(network)) for network in NETWORKS}
        self._states = load_checkpoints(folder, shapes)
        self.source = str(folder)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def load_checkpoints(folder: str | Path, shapes: Mapping[str, Shapes]) -> dict[str, StateDict]:
    """Read the networks named in `shapes` (network -> key -> shape) and check every key and shape.

    State dicts come without the prefixes of the files, in our spelling. The same promises and the same CheckpointError
    as `read_folder`.
    """
    spellings: dict[str, Callable[[StateDict], StateDict]] = {NET: dict, VAE: vae_spelling, SPEECH: speech_spelling}
    files = []
    for file in dict.fromkeys(FILE_OF[network] for network in shapes):
        held = {n: expected for n, expected in shapes.items() if FILE_OF[n] == file}
        keys = {PREFIXES[n] + key: shape for n, expected in held.items() for key, shape in expected.items()}
        files.append(PublishedFile(name=file, places=PLACES[file], shapes=keys, spelling=spellings[file]))
    states = read_folder(weights_root(folder), files)
    return {
        network: {key: states[FILE_OF[network]][PREFIXES[network] + key] for key in expected}
        for network, expected in shapes.items()
    }


def weights_root(folder: str | Path) -> Path:
    """The folder that holds `hallo2/` and `wav2vec/`: `folder`, or `folder/pretrained_models`."""
    return root_of(
        folder, nested="pretrained_models", preset="hallo2", holds="hallo2/net.pth, sd-vae-ft-mse/, wav2vec/"
    )


def find_user_files(folder: str | Path) -> dict[str, Path]:
    """The optional files that are there: `arcface`, `vocals`."""
    root = weights_root(folder)
    return {name: root / file for name, file in USER_FILES.items() if (root / file).is_file()}


def speech_spelling(state: StateDict) -> StateDict:
    """Without the head that reads letters, and the position convolution as `weight_g` and `weight_v`."""
    kept = {key: value for key, value in state.items() if not key.startswith("lm_head.")}
    return _renamed(kept, {f".conv.{old}": f".conv.{new}" for old, new in _SPEECH.items()})


def vae_spelling(state: StateDict) -> StateDict:
    """The attention of both middles as linear layers called `to_q`, `to_k`, `to_v` and `to_out.0`."""
    old = {f".attentions.0.{old}.{kind}": f".attentions.0.{new}.{kind}" for old, new in _VAE.items() for kind in _KINDS}
    new = _renamed(state, old)
    places = tuple(f".attentions.0.{name}.weight" for name in _VAE.values())
    return {
        key: value[:, :, 0, 0] if key.endswith(places) and value.shape[2:] == (1, 1) else value
        for key, value in new.items()
    }


def _renamed(state: StateDict, endings: Mapping[str, str]) -> StateDict:
    """With these endings of keys replaced. A file that has both spellings of a key keeps the older one, as one too
    many."""
    made = {}
    for key, value in state.items():
        ending = next((old for old in endings if key.endswith(old)), None)
        new = key if ending is None else key.removesuffix(ending) + endings[ending]
        made[key if new != key and new in state else new] = value
    return made
