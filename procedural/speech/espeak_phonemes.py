"""What espeak-ng calls its phonemes, in sounds of ours.

A name becomes one sound or several, which share its time as their own lengths are: a diphthong is two vowels, an
affricate a stop and a fricative. A name is looked for in the first of these places that has it, and is never silent
but in the first:

1. a name that begins with "_", and "||", is a pause;
2. the table of its language, then the one that all languages share;
3. without letters at its end, as few as it takes: what espeak puts there is a shade ("t2", "I2#", "n^");
4. its first letter, small: names are made of the letters that sound nearest;
5. else it is "ə", the mouth that is nearest to all others.

A mark of stress before a name ("'", ",", "%", "=") is no part of it.

Source: names and what they sound like are those of espeak-ng's phoneme tables "base1", "base2", "en", "en-us", "de".
"""

from __future__ import annotations

from collections.abc import Mapping

from procedural.speech.phonemes import PAUSE, SOUNDS

Sounds = tuple[str, ...]
_STRESS = "',%="


def _table(rows: str) -> dict[str, Sounds]:
    """Pairs of a name and its sounds, one letter each."""
    words = rows.split()
    return {name: tuple(sounds) for name, sounds in zip(words[::2], words[1::2], strict=True)}


_ALL = _table(
    """
    @ ə  @- ə  @L əl  3 ə  a a  A ɑ  e e  E ɛ  i i  I ɪ  o o  O ɔ  u u  U ʊ  V ʌ  y y  Y ø  W ø  0 ɔ  & æ
    aI aɪ  aU aʊ  eI eɪ  EI ɛɪ  eU eʊ  iU iʊ  oI ɔɪ  OI ɔɪ  OY ɔɪ  oU oʊ  uI uɪ
    m m  n n  N ŋ  l l  L l  r ɹ  R ɹ  j j  ; j  w w  m- əm  n- ən  N- əŋ  l- əl  r- ɹ
    p p  b b  t t  d d  k k  g g  c k  J g  q k  ? h  * d  ts ts  dz dz  tS tʃ  dZ dʒ  pF pf
    f f  v v  B v  T θ  D ð  s s  z z  S ʃ  Z ʒ  C ç  J^ ç  x x  X x  Q ʁ  h h  H h  l# ʃ  w# w
    """
)
_OWN: Mapping[str, Mapping[str, Sounds]] = {
    "en": _table(
        """
        a æ  a# ʌ  a2 ə  aa æ  A: ɑ  A@ ɑɹ  A# ɑ  0 ɑ  O@ ɔɹ  o@ ɔɹ  e@ ɛɹ  i@ iə  i@3 iɹ  U@ ʊɹ  aI@ aɪə  aI3 aɪɹ
        aU@ aʊə  3: əɹ  3 əɹ  IR ɪɹ  VR ʌɹ  t# d
        """
    ),
    "de": _table("A a  A: a  r ʁ  R ʁ  3 ə  UR ʊə  iR iə  g# ç"),
}


def sounds(name: str, language: str) -> Sounds:
    """At least one of SOUNDS, by the rule above; PAUSE alone for a pause. `language` is one of LANGUAGES."""
    name = name.lstrip(_STRESS)
    if name.startswith("_") or name == "||":
        return (PAUSE,)
    tables = (_OWN.get(language, {}), _ALL)
    for end in range(len(name), 0, -1):
        for table in tables:
            if name[:end] in table:
                return table[name[:end]]
    first = next((letter for letter in name if letter.isalpha()), "ə").lower()
    return next((table[first] for table in tables if first in table), (first if first in SOUNDS else "ə",))
