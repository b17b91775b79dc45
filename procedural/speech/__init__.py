"""Synthetic speech whose phonemes, and so whose lips, are known: nobody's voice, and no model behind it."""

from procedural.speech.lips import MOUTH, mouth
from procedural.speech.phonemes import LANGUAGES, Phoneme
from procedural.speech.sentences import HZ, Speech, sentence
from procedural.speech.talkers import MOODS, talking

__all__ = ["HZ", "LANGUAGES", "MOODS", "MOUTH", "Phoneme", "Speech", "mouth", "sentence", "talking"]
