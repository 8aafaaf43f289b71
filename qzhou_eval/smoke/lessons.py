"""Training batches of the miniature: each from one task, in its prompts, held-out meanings excluded."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from qzhou_eval.profile import Profile
from qzhou_eval.prompts import instruction_for, render
from qzhou_eval.smoke import grammar


@dataclass(frozen=True)
class Lesson:
    """One batch: two or three columns of prompts; labels for ``graded``, none for ``ranked``."""

    task: str
    kind: str
    columns: list[list[str]]
    labels: torch.Tensor | None

    def all_prompts(self) -> list[str]:
        return [prompt for column in self.columns for prompt in column]


def draw(profile: Profile, rng: random.Random, count: int, *, batch: int = 4) -> Iterator[Lesson]:
    """Draw ``count`` lessons, the tasks in turn; paraphrases, the hardest, come twice in a round."""
    makers = [_paraphrase, _retrieval, _sts, _classification, _paraphrase, _reranking, _pair, _clustering]
    for index in range(count):
        task, kind, sides, rows = makers[index % len(makers)](rng, batch)
        columns = [
            [render(profile, row[i], instruction_for(profile, task, side)) for row in rows]
            for i, side in enumerate(sides)
        ]
        labels = torch.tensor([float(row[-1]) for row in rows]) if kind == "graded" else None
        yield Lesson(task, kind, columns, labels)


def graded_pair(rng: random.Random, *, held_out: bool) -> tuple[str, str, int]:
    """Two sentences and how alike they are, 0 to 5.

    5 the same meaning in other words; 4 and 3 another time, then another person too; 2 another
    aspect; 1 the opposite in the same words; 0 unrelated.
    """
    frame = grammar.random_frame(rng, held_out=held_out)
    voice = grammar.random_voice(rng)
    other = grammar.other_voice(rng, voice)
    score = rng.randrange(6)
    if score == 0:
        return grammar.say(frame, voice), grammar.say(grammar.random_frame(rng, held_out=held_out), other), 0
    if score == 1:
        return grammar.say(frame, voice), grammar.say(grammar.opposite(frame), voice), 1
    slots = {5: (), 4: ("time",), 3: ("time", "person"), 2: ("predicate",)}[score]
    return grammar.say(frame, voice), grammar.say(grammar.change(rng, frame, *slots), other), score


def same_or_not(rng: random.Random, *, held_out: bool) -> tuple[str, str, int]:
    """Two sentences and whether they mean the same: paraphrases, or opposites and near misses."""
    frame = grammar.random_frame(rng, held_out=held_out)
    voice = grammar.random_voice(rng)
    other = grammar.other_voice(rng, voice)
    if rng.random() < 0.5:
        return grammar.say(frame, voice), grammar.say(frame, other), 1
    if rng.random() < 0.5:
        return grammar.say(frame, voice), grammar.say(grammar.opposite(frame), voice), 0
    changed = grammar.change(rng, frame, rng.choice(("entity", "predicate")))
    return grammar.say(frame, voice), grammar.say(changed, voice), 0


def _paraphrase(rng: random.Random, batch: int):
    """A sentence, the same in other words, and the opposite in the same words."""
    rows = []
    for _ in range(batch):
        frame = grammar.random_frame(rng, held_out=False)
        voice = grammar.random_voice(rng)
        same = grammar.say(frame, grammar.other_voice(rng, voice))
        rows.append((grammar.say(frame, voice), same, grammar.say(grammar.opposite(frame), voice)))
    return "MiniSTS", "ranked", (None, None, None), rows


def _sts(rng: random.Random, batch: int):
    return "MiniSTS", "graded", (None, None), [graded_pair(rng, held_out=False) for _ in range(batch)]


def _pair(rng: random.Random, batch: int):
    rows = [same_or_not(rng, held_out=False) for _ in range(batch)]
    return "MiniPairClassification", "graded", (None, None), rows


def _shares(task: str, attribute: str):
    """Pairs labelled by whether they agree in one attribute of the meaning (feeling, domain)."""

    def make(rng: random.Random, batch: int):
        rows = []
        for _ in range(batch):
            one, two = (grammar.random_frame(rng, held_out=False) for _ in range(2))
            if rng.random() < 0.5:
                while getattr(two, attribute) != getattr(one, attribute):
                    two = grammar.random_frame(rng, held_out=False)
            voices = (grammar.random_voice(rng) for _ in range(2))
            texts = [grammar.say(frame, voice) for frame, voice in zip((one, two), voices, strict=True)]
            rows.append((*texts, getattr(one, attribute) == getattr(two, attribute)))
        return task, "graded", (None, None), rows

    return make


def _asked(task: str):
    """A question, a sentence that answers it, and one about another time, person or thing."""

    def make(rng: random.Random, batch: int):
        rows = []
        for _ in range(batch):
            frame = grammar.random_frame(rng, held_out=False)
            voice = grammar.random_voice(rng)
            near = grammar.change(rng, frame, rng.choice(("time", "person", "entity")))
            rows.append(
                (
                    grammar.ask(frame, voice),
                    grammar.say(frame, grammar.other_voice(rng, voice)),
                    grammar.say(near, grammar.random_voice(rng)),
                )
            )
        return task, "ranked", ("query", "document", "document"), rows

    return make


_classification = _shares("MiniClassification", "good")
_clustering = _shares("MiniClustering", "domain")
_retrieval = _asked("MiniRetrieval")
_reranking = _asked("MiniReranking")
