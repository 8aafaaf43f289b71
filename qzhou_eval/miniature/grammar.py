"""A small Chinese language with known meanings: sentences, paraphrases, opposites, questions.

A meaning is a :class:`Frame`; a sentence is a frame spoken with one choice of words and word
order. Everything is drawn from a given ``random.Random``; only the lexicon is read.
A fifth of the meanings (by a hash of the frame without its pole) is held out from training.
"""

import random
import re
import zlib
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Frame:
    """One meaning: who said, and when, that something of a domain is good or bad in some way."""

    domain: int
    entity: int
    predicate: int
    good: bool
    time: int
    person: int

    @property
    def held_out(self) -> bool:
        return zlib.crc32(repr(astuple(replace(self, good=True))).encode()) % 5 == 0


@dataclass(frozen=True)
class Voice:
    """One choice of words and word order; the same voice on two frames gives a high overlap."""

    entity: int
    predicate: int
    time: int
    person: int
    order: int


@cache
def lexicon() -> dict:
    return yaml.safe_load((Path(__file__).parent / "lexicon.yaml").read_text("utf-8"))


def domains() -> list[str]:
    return list(lexicon()["domains"])


def concepts() -> list[list[str]]:
    """Every concept as the list of its words."""
    known = lexicon()
    lists = [*known["persons"], *known["times"]]
    for content in known["domains"].values():
        lists += [*content["entities"], *(pole for pair in content["predicates"] for pole in pair)]
    return lists


def words() -> list[str]:
    """Every word and every fixed piece of a sentence."""
    known = lexicon()
    pieces = [re.split(r"\{\w+\}", order) for order in known["statements"] + known["questions"]]
    return [word for group in [*concepts(), *pieces] for word in group if word]


def random_frame(rng: random.Random, *, held_out: bool) -> Frame:
    while True:
        known = lexicon()
        domain = rng.randrange(len(known["domains"]))
        content = known["domains"][domains()[domain]]
        frame = Frame(
            domain=domain,
            entity=rng.randrange(len(content["entities"])),
            predicate=rng.randrange(len(content["predicates"])),
            good=rng.random() < 0.5,
            time=rng.randrange(len(known["times"])),
            person=rng.randrange(len(known["persons"])),
        )
        if frame.held_out == held_out:
            return frame


def random_voice(rng: random.Random) -> Voice:
    return Voice(*(rng.randrange(60) for _ in range(5)))


def other_voice(rng: random.Random, voice: Voice) -> Voice:
    """A voice that differs from ``voice`` in every choice (for any list of two, three or six)."""
    return Voice(*(60 + old + rng.choice((1, 5)) for old in astuple(voice)))


def mixed_voice(rng: random.Random, voice: Voice) -> Voice:
    """A voice that shares about half of its choices with ``voice``."""
    other = other_voice(rng, voice)
    return Voice(*(rng.choice(pair) for pair in zip(astuple(voice), astuple(other), strict=True)))


def change(rng: random.Random, frame: Frame, *slots: str) -> Frame:
    """The frame with other values in ``slots`` (time, person, entity or predicate)."""
    known = lexicon()
    content = known["domains"][domains()[frame.domain]]
    sizes = {
        "time": len(known["times"]),
        "person": len(known["persons"]),
        "entity": len(content["entities"]),
        "predicate": len(content["predicates"]),
    }
    new = {slot: (getattr(frame, slot) + rng.randrange(1, sizes[slot])) % sizes[slot] for slot in slots}
    return replace(frame, **new)


def opposite(frame: Frame) -> Frame:
    return replace(frame, good=not frame.good)


def say(frame: Frame, voice: Voice) -> str:
    """The frame as a statement."""
    return _fill(lexicon()["statements"], frame, voice)


def ask(frame: Frame, voice: Voice) -> str:
    """The question of what a person thought of something at some time."""
    return _fill(lexicon()["questions"], frame, voice)


def _fill(orders: list[str], frame: Frame, voice: Voice) -> str:
    known = lexicon()
    content = known["domains"][domains()[frame.domain]]
    predicate = content["predicates"][frame.predicate][0 if frame.good else 1]

    def pick(choices: list[str], index: int) -> str:
        return choices[index % len(choices)]

    return pick(orders, voice.order).format(
        entity=pick(content["entities"][frame.entity], voice.entity),
        predicate=pick(predicate, voice.predicate),
        time=pick(known["times"][frame.time], voice.time),
        person=pick(known["persons"][frame.person], voice.person),
    )
