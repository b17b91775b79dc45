"""Whether a wish is met, and what would meet it: the nearest profile, number of steps or size.

Only speed is compared. What fewer steps, another profile or a smaller size do to the picture is for `hp-trt evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hp_trt.measure.planning.predict import Prediction

LEAST_PX, STEP_PX = 128, 64


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user can choose."""

    profile: str
    size: int
    steps: int  # as --steps says them


@dataclass(frozen=True, kw_only=True)
class Wish:
    """At least so many frames a second, or at most so long a wait."""

    kind: str  # "fps" | "latency"
    value: float

    def got(self, prediction: Prediction) -> float:
        return prediction.frames_per_s if self.kind == "fps" else prediction.latency_s

    def missed_by(self, prediction: Prediction) -> float:
        """A factor; up to 1 is met."""
        got = self.got(prediction)
        return self.value / got if self.kind == "fps" else got / self.value

    def text(self, number: float) -> str:
        return f"{number:.3g} frames/s" if self.kind == "fps" else f"{number:.3g} s"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One wish, answered. `ways`: changes that meet it, each the smallest of its kind."""

    wish: Wish
    got: float
    missed_by: float
    ways: tuple[tuple[Choice, float], ...]  # with what they are predicted to give
    best: tuple[Choice, float] | None  # where nothing meets it: what comes nearest, if that is nearer than now

    @property
    def met(self) -> bool:
        return self.missed_by <= 1

    def lines(self, now: Choice) -> Iterator[str]:
        """For people."""
        text = self.wish.text
        head = f"wish         {text(self.wish.value)}: {now.profile}, {_steps(now)}, {now.size} px gives "
        if self.met:
            yield f"{head}{text(self.got)}, which meets it"
            return
        yield f"{head}{text(self.got)}, which misses it by {self.missed_by:.2g} times"
        for choice, got in self.ways:
            yield f"             met by {change(now, choice)}: {text(got)}"
        if self.best is not None:
            choice, got = self.best
            yield f"             met by nothing tried; nearest is {change(now, choice)}: {text(got)}"
        elif not self.ways:
            yield "             met by nothing tried, and nothing tried is nearer"


def change(now: Choice, then: Choice) -> str:
    """What is another, in words."""
    words = [f"profile {then.profile}"] if then.profile != now.profile else []
    if then.steps != now.steps or then.profile != now.profile:
        words.append(_steps(then))
    words += [f"{then.size} px"] if then.size != now.size else []
    return ", ".join(words) or "no change"


def _steps(choice: Choice) -> str:
    return "1 step" if choice.steps == 1 else f"{choice.steps} steps"


def answer(
    wish: Wish,
    now: Choice,
    predict: Callable[[Choice], Prediction],
    *,
    profiles: Sequence[tuple[str, int]],
    sizes: Sequence[int],
) -> Answer:
    """`profiles`: the others, with the steps of each, the nearest first; `sizes`: the smaller ones that can be had."""
    here = predict(now)
    if wish.missed_by(here) <= 1:
        return Answer(wish=wish, got=wish.got(here), missed_by=wish.missed_by(here), ways=(), best=None)
    tried: list[tuple[Choice, Prediction]] = []

    def first(choices: Iterator[Choice]) -> Choice | None:
        """The first that meets the wish: they come with the smallest change first."""
        for choice in choices:
            tried.append((choice, predict(choice)))
            if wish.missed_by(tried[-1][1]) <= 1:
                return choice
        return None

    falling = sorted(sizes, reverse=True)
    kinds = (
        (Choice(profile=name, size=now.size, steps=steps) for name, steps in profiles),
        (Choice(profile=now.profile, size=now.size, steps=steps) for steps in range(now.steps - 1, 0, -1)),
        (Choice(profile=now.profile, size=size, steps=now.steps) for size in falling),
    )
    ways = [way for kind in kinds if (way := first(kind)) is not None]
    if not ways:  # two changes at once
        both = (
            Choice(profile=name, size=size, steps=steps)
            for name, most in ((now.profile, now.steps), *profiles)
            for size in (now.size, *falling)
            for steps in range(most, 0, -1)
        )
        ways = [way for way in [first(both)] if way is not None]
    by_choice = dict(tried)
    nearest = min(((now, here), *tried), key=lambda pair: wish.missed_by(pair[1]))
    return Answer(
        wish=wish,
        got=wish.got(here),
        missed_by=wish.missed_by(here),
        ways=tuple((way, wish.got(by_choice[way])) for way in ways),
        best=None if ways or nearest[0] == now else (nearest[0], wish.got(nearest[1])),
    )
