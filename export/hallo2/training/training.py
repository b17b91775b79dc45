"""All of training, phase after phase, in one folder that any of it resumes from.

- sentences/, clips/: what is drawn;
- speech, lips, steady, talk, decoder: a state, a curve and an end of each phase (`export/training/run.py`);
- vae.done.pt: the autoencoder, pocket's, whose blocks in space decode nearly as well as all of it, or what was made of
  it (`autoencoder.py`);
- seen/, heard/: every clip as the autoencoder encodes it and as the speech networks hear it, the last phases' data;
- plain.done.pt: both UNets as `initial_weights.py` leaves them; given/, rolled/: what they give to their last place;
- spoken/: some clips as both UNets make them in the end, for the decoder;
- talk_pocket.safetensors: the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch

from engines.errors import InputError
from engines.part_file import write_whole
from engines.safe_output import refusing
from export.hallo2.architecture import NETWORKS
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.vae import VAE
from export.hallo2.presets import Preset
from export.hallo2.training.autoencoder import AutoencoderPhase
from export.hallo2.training.decoder import DecoderPhase, spoken
from export.hallo2.training.drawn import MOST_FRAMES, Sentences, TalkingClips
from export.hallo2.training.initial_weights import with_initial_weights, with_plain_answer
from export.hallo2.training.lips import LastPlace, LipsPhase, given, rolled
from export.hallo2.training.seen import Cut, hear, look
from export.hallo2.training.speech import SpeechPhase
from export.hallo2.training.talk import TalkPhase, TalkWindows
from export.hallo2.training.warm_start import pocket_states, warm_vae
from export.training.data_parallel import Share, data_parallel
from export.training.files import save_state
from export.training.phase import Modules, Phase, Settings, Tell, train
from export.training.run import Run
from export.weights.packed import write_weights
from hp_trt.interface.voices import require_espeak
from procedural.clip import FIRST_TRAINING_SEED

# Phase -> the networks that it leaves.
LEAVES = {
    "speech": ("speech_encoder", "audioproj"),
    "vae": ("vae",),
    "talk": ("reference_unet", "denoising_unet", "face_locator", "imageproj"),
    "decoder": ("vae",),  # in place of the one before
}

LAST_PLACE = "last_place"  # of the denoising net, as the phases before `talk` leave it
_CARD = Path(__file__).with_name("card.md")
_OWN_VOICE = "the synthesiser of this repository speaks every sentence"
_ESPEAK = (  # how much, and whose: a card says what weights have heard
    "espeak-ng (GPL, version 3 or later; no part of it is in these weights) speaks {spoken} of the {sentences} "
    "sentences, with words, the synthesiser of this repository the others"
)
_AVERAGING = 0.995  # of the last phases' weights, a step: they are short
_FITTED = 24  # clips that its plain answer is fitted to


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything. The defaults are those of the shipped weights, whose card tells what differed."""

    sentences: int = 360
    clips: int = 360
    frames: int = 18  # of a clip
    espeak: float = 0.0  # the share of the sentences that it speaks
    speech_steps: int = 1000
    autoencoder_steps: int = 1200  # 0: pocket's, as it is
    lips_steps: int = 800
    rolled: int = 100  # of the clips, gone through by the net itself
    steady_steps: int = 3000
    unet_steps: int = 8300
    spoken: int = 60  # of the clips, made for the decoder
    decoder_steps: int = 600
    workers: int = 1  # processes that draw, and on a CPU share the batches of the last phase
    varied: float = 0.0  # the share of the people who are drawn with variety
    pictures: float = 0.0  # the share of the autoencoder's pictures that are no faces

    def __post_init__(self) -> None:
        if self.clips > self.sentences:
            raise InputError(
                f"{self.clips} clips need a sentence each, and there are {self.sentences}; raise --sentences"
            )
        if not 0 <= self.espeak <= 1:
            raise InputError(f"--espeak is a share of the sentences, 0 to 1, got {self.espeak}")


class Training:
    """Training of a preset."""

    def __init__(self, preset: Preset, amounts: Amounts, settings: Settings) -> None:
        self.preset, self.amounts, self.settings = preset, amounts, settings
        least = preset.motion_frames + preset.frames
        if not least <= amounts.frames <= MOST_FRAMES:
            raise InputError(f"a clip has {least} to {MOST_FRAMES} frames, asked for {amounts.frames}; see --frames")
        self.run = Run(settings, (*NETWORKS, LAST_PLACE))
        folder = settings.folder
        self.sentences = Sentences(folder=folder / "sentences", count=amounts.sentences, espeak=amounts.espeak)
        self.clips = TalkingClips(
            folder=folder / "clips",
            count=amounts.clips,
            espeak=amounts.espeak,
            frames=amounts.frames,
            px=preset.size,
            varied=amounts.varied,
        )
        self.clips.check_share()
        self.sentences.check_voices()
        if amounts.espeak:
            require_espeak()

    def stages(self) -> dict[str, Callable[[Tell], bool | None]]:
        """What comes before the weights are written, in its order: False of a phase that has not ended."""
        return {
            "sentences": self.draw_sentences,
            "speech": self.speech,
            "clips": self.draw_clips,
            "vae": self.autoencoder,
            "seen": self.see,
            "heard": self.hear,
            "plain": self.plain,
            "given": self.give,
            "lips": self.lips,
            "rolled": self.roll,
            "steady": self.steady,
            "talk": self.talk,
            "spoken": self.speak,
            "decoder": self.decoder,
        }

    def draw_sentences(self, tell: Tell) -> None:
        """Every sentence, on disk."""
        for done in self.sentences.draw_missing(self.amounts.workers):
            tell("sentences", done, self.sentences.count, {})

    def draw_clips(self, tell: Tell) -> None:
        """Every clip, on disk."""
        for done in self.clips.draw_missing(self.amounts.workers):
            tell("clips", done, self.clips.count, {})

    def speech(self, tell: Tell) -> bool:
        """The speech encoder and the audio projection; True when they are complete."""
        phase = SpeechPhase(
            self._new(LEAVES["speech"]),
            sentences=self.sentences,
            numbers=_some(self.sentences.ready(), "sentences"),
            steps=self.amounts.speech_steps,
            device=self.settings.device,
        )
        return self.run.train(phase, tell)

    def autoencoder(self, tell: Tell) -> bool:
        """The autoencoder; True when it is complete. Pocket's is taken once a run: clips that it saw belong to it."""
        if not self.amounts.autoencoder_steps:
            if not self.run.has_ended("vae"):
                save_state(self.run.end_path("vae"), {"vae": self._pocket_vae().state_dict()})
            tell("vae", 1, 1, {})
            return True
        return self._together(self.autoencoder_phase, tell, replace(self._settings, half=True))

    def autoencoder_phase(self) -> AutoencoderPhase:
        """From pocket's."""
        return AutoencoderPhase(
            self._pocket_vae().to(self.settings.device),
            clips=self.clips,
            numbers=self._numbers(),
            steps=self.amounts.autoencoder_steps,
            device=self.settings.device,
            others=self.amounts.pictures,
        )

    def _pocket_vae(self) -> VAE:
        vae = cast(VAE, self.preset.architecture.build("vae", device="cpu"))
        vae.load_state_dict(warm_vae(vae.state_dict(), pocket_states(("vae",))["vae"]))
        return vae

    def see(self, tell: Tell) -> None:
        """Every clip as the autoencoder encodes it."""
        vae, device = cast(VAE, self._ended("vae")["vae"]), self.settings.device
        self.run.see(
            "seen",
            "vae",
            lambda n: look(self.clips.load(n), vae, self.cut, seed=n, device=device),
            _some(self.clips.ready(), "clips"),
            tell,
        )

    def hear(self, tell: Tell) -> None:
        """Every clip's sentence as the speech networks hear it."""
        networks, device = self._ended("speech"), self.settings.device
        self.run.see(
            "heard",
            "speech",
            lambda n: hear(self.sentences.load(n), networks, device),
            _some(self.clips.ready(), "clips"),
            tell,
        )

    def plain(self, tell: Tell) -> None:
        """Pocket's UNet with a plain answer, once a run: what is given to the last place belongs to it."""
        if not self.run.has_ended("plain"):
            modules = self._new(LEAVES["talk"])
            windows = self._windows(modules, self._calm())
            some = range(min(_FITTED, len(windows.numbers)))
            told, targets = [windows.beginning(i) for i in some], [windows.target(i) for i in some]
            with_plain_answer(windows.talker, pocket_states(("unet",))["unet"], told, targets)
            save_state(self.run.end_path("plain"), {name: m.state_dict() for name, m in modules.items()})
        tell("plain", 1, 1, {})

    def give(self, tell: Tell) -> None:
        """What the last place of the plain answer is given of every clip, as long as it is to learn of it."""
        if self.run.has_ended("steady"):
            return
        numbers = self._calm()
        windows = self._windows(self._plain(), numbers)
        self.run.see("given", "plain", lambda n: given(windows, numbers.index(n)), numbers, tell)

    def lips(self, tell: Tell) -> bool:
        """The last place of the denoising net; True when it is complete."""
        return self.run.train(self.lips_phase(), tell, self._settings)

    def lips_phase(self) -> LipsPhase:
        """From the plain answer. Raises InputError where what it learns from is missing."""
        numbers = self._calm()
        items = self.run.seen("given", "plain", numbers)
        return LipsPhase("lips", self._windows(self._plain(), numbers), items, self.amounts.lips_steps)

    def roll(self, tell: Tell) -> None:
        """What the last place is given of some clips, where the net goes on from what it made."""
        if self.run.has_ended("steady"):
            return
        numbers = self._calm()
        windows = self._windows(self._plain("lips"), numbers)
        self.run.see(
            "rolled", "lips", lambda n: rolled(windows, numbers.index(n)), numbers[: self.amounts.rolled], tell
        )

    def steady(self, tell: Tell) -> bool:
        """The last place once more; True when it is complete."""
        return self.run.train(self.steady_phase(), tell, self._settings)

    def steady_phase(self) -> LipsPhase:
        """From where the lips ended. Raises InputError where what it learns from is missing."""
        numbers = self._calm()[: self.amounts.rolled]
        items = [
            np.concatenate(both)
            for both in zip(
                self.run.seen("given", "plain", numbers), self.run.seen("rolled", "lips", numbers), strict=True
            )
        ]
        windows = self._windows(self._plain("lips"), numbers)
        return LipsPhase("steady", windows, items, self.amounts.steady_steps)

    def talk(self, tell: Tell) -> bool:
        """Both UNets, the face locator and the image projection; True when they are complete."""
        return self._together(self.talk_phase, tell, self._settings)

    def talk_phase(self) -> TalkPhase:
        """From where the last place ended. Raises InputError where what it learns from is missing."""
        modules = self._plain("steady")
        return TalkPhase(modules, self._windows(modules, self._numbers()), self.amounts.unet_steps)

    def speak(self, tell: Tell) -> None:
        """Some clips as both nets make them, as long as the decoder is to learn of them."""
        if self.run.has_ended("decoder"):
            return
        numbers = self._spoken()
        windows = self._windows(self._as_left("talk"), numbers)
        self.run.see("spoken", "talk", lambda n: spoken(windows, numbers.index(n)), numbers, tell)

    def decoder(self, tell: Tell) -> bool:
        """The autoencoder's decoder; True when it is complete."""
        return self.run.train(self.decoder_phase(), tell, self._settings)

    def decoder_phase(self) -> DecoderPhase:
        """From where pocket's ended. Raises InputError where what it learns from is missing."""
        numbers = self._spoken()
        made = self.run.seen("spoken", "talk", numbers)
        return DecoderPhase(self._windows(self._as_left("talk"), numbers), made, self.amounts.decoder_steps)

    def _together(self, make: Callable[[], Phase], tell: Tell, settings: Settings) -> bool:
        """Train a phase in as many processes as there are workers, that `make`, a method of ours, gives to each."""
        phase = make()  # before anybody is asked to help: it says what is missing
        # Processes share the cores of a CPU; one GPU they would take from each other.
        processes = 1 if settings.device.type != "cpu" else min(self.amounts.workers, phase.batches)
        helped = partial(_help, self.preset, self.amounts, settings, make.__name__)
        with data_parallel(processes, helped) as share:
            return self.run.train(phase, tell, replace(settings, share=share))

    @property
    def _settings(self) -> Settings:
        return replace(self.settings, averaging=_AVERAGING)

    def _numbers(self) -> list[int]:
        return _some(self.clips.ready(), "clips")

    def _spoken(self) -> list[int]:
        """Those that are made for the decoder."""
        return self._numbers()[: self.amounts.spoken]

    def _calm(self) -> list[int]:
        """Those whose mood is neutral: the last place is not told of any."""
        return [number for number in self._numbers() if self.clips.is_calm(number)]

    def _plain(self, last: str | None = None) -> Modules:
        """The plain answer, to be trained; its last place as the phase `last` leaves it. InputError before that is."""
        modules = self._as_left("plain")
        if last is not None:
            place = LastPlace(cast(DenoisingUNet, modules["denoising_unet"]))
            place.load_state_dict(self.run.end(last)[LAST_PLACE])
        return modules

    def _as_left(self, phase: str) -> Modules:
        """Both UNets and what stands before them, as a phase has left them. Raises InputError before its end."""
        modules = self._new(LEAVES["talk"])
        for name, state in self.run.end(phase).items():
            modules[name].load_state_dict(state)
        return modules

    def _windows(self, modules: Modules, numbers: list[int]) -> TalkWindows:
        return TalkWindows(
            modules,
            clips=self.clips,
            seen=self.run.seen("seen", "vae", numbers),
            heard=self.run.seen("heard", "speech", numbers),
            numbers=numbers,
            cut=self.cut,
            vae=cast(VAE, self._ended("vae")["vae"]),
            device=self.settings.device,
        )

    def write(self, path: Path) -> None:
        """The averaged weights of all phases as one file of half precision, and its card beside it."""
        states: dict[str, Mapping[str, torch.Tensor]] = {}
        for phase in LEAVES:
            states |= self.run.end(phase)
        # Tables of positions, and what never runs, are among the published keys.
        torch.manual_seed(self.settings.seed)
        complete = self.preset.architecture.build("denoising_unet", device="cpu").state_dict()
        states["denoising_unet"] = {**complete, **states["denoising_unet"]}
        write_weights(path, {name: states[name] for name in NETWORKS}, preset=self.preset.name)
        with refusing(path):
            write_whole(path.with_suffix(".md"), self._card(path).encode())

    def _card(self, path: Path) -> str:
        """The model card of the file of weights."""
        content, share = path.read_bytes(), self.amounts.espeak
        by_espeak = sum(self.sentences.voice(number) == "espeak" for number in range(self.amounts.sentences))
        voices = _ESPEAK.format(spoken=by_espeak, sentences=self.amounts.sentences) if by_espeak else _OWN_VOICE
        return _CARD.read_text(encoding="utf-8").format(
            **asdict(self.amounts) | {"spoken": min(self.amounts.spoken, self.amounts.clips)},
            voices=voices,
            asked=f" --espeak {share:g}" if share else "",
            seed=self.settings.seed,
            first_seed=FIRST_TRAINING_SEED,
            name=path.name,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    @property
    def cut(self) -> Cut:
        return Cut(frames=self.amounts.frames, window=self.preset.frames, motion_frames=self.preset.motion_frames)

    def _ended(self, phase: str) -> Modules:
        """What a phase has left, where the run computes. Raises InputError before its end."""
        architecture = self.preset.architecture
        return {
            name: architecture.load(name, state).to(self.settings.device) for name, state in self.run.end(phase).items()
        }

    def _new(self, networks: tuple[str, ...]) -> Modules:
        torch.manual_seed(self.settings.seed)
        made = {name: self.preset.architecture.build(name, device="cpu") for name in networks}
        for module in made.values():
            with_initial_weights(module)
            if isinstance(module, DenoisingUNet):
                module.drop_dead()
        return {name: module.to(self.settings.device).train() for name, module in made.items()}


def _help(preset: Preset, amounts: Amounts, settings: Settings, phase: str, share: Share) -> None:
    made = getattr(Training(preset, amounts, settings), phase)()
    train(made, replace(settings, share=share), lambda *_: None)


def _some(numbers: list[int], stage: str) -> list[int]:
    if not numbers:
        raise InputError(f"no {stage} are drawn yet; begin with --stage {stage}")
    return numbers
