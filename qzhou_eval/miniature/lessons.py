"""Training batches of the miniature: each from one task, with its prompts, without held-out meanings."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from qzhou_eval.benchmark.packaged import miniature
from qzhou_eval.miniature import grammar
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import prompts_of


@dataclass(frozen=True)
class Lesson:
    """One batch: columns of prompts, and labels.

    ``graded``: two columns and their similarities. ``ranked``: anchors, positives and negatives;
    no labels. ``labelled``: one column and its classes.
    """

    task: str
    kind: str
    columns: list[list[str]]
    labels: torch.Tensor | None


def draw(profile: Profile, rng: random.Random, count: int, *, batch: int = 4) -> Iterator[Lesson]:
    """Draw ``count`` lessons, the tasks in turn; the first tenth has only words, no sentences."""
    makers = [_paraphrase, _retrieval, _sts, _classification, _words, _reranking, _pair, _clustering]
    for index in range(count):
        task, kind, sides, rows = (makers[index % len(makers)] if index >= count // 10 else _words)(rng, batch)
        columns = [
            prompts_of(profile, miniature().by_name[task], side, [row[i] for row in rows], use_instruction=True)
            for i, side in enumerate(sides)
        ]
        labels = None if kind == "ranked" else torch.tensor([row[-1] for row in rows])
        yield Lesson(task, kind, columns, labels)


def graded_pair(
    rng: random.Random, *, held_out: bool, scores: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
) -> tuple[str, str, int]:
    """Two sentences and how alike they are, 0 to 5.

    5 the same meaning in other words; 4 and 3 another time, then another person too; 2 another
    aspect; 1 the opposite in the same words; 0 unrelated. Half of the pairs share no word choice.
    The score is drawn from ``scores``.
    """
    frame = grammar.random_frame(rng, held_out=held_out)
    voice = grammar.random_voice(rng)
    other = _another_voice(rng, voice)
    score = scores[rng.randrange(len(scores))]
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
    if rng.random() < 0.5:
        return grammar.say(frame, voice), grammar.say(frame, _another_voice(rng, voice)), 1
    if rng.random() < 0.5:
        return grammar.say(frame, voice), grammar.say(grammar.opposite(frame), voice), 0
    changed = grammar.change(rng, frame, rng.choice(("entity", "predicate")))
    return grammar.say(frame, voice), grammar.say(changed, grammar.mixed_voice(rng, voice)), 0


def _another_voice(rng: random.Random, voice: grammar.Voice) -> grammar.Voice:
    return rng.choice((grammar.other_voice, grammar.mixed_voice))(rng, voice)


def _words(rng: random.Random, batch: int):
    """Two words of one concept and one of another: teaches what words mean, before sentences."""
    concepts = grammar.concepts()
    rows = []
    for concept in rng.sample(concepts, batch):
        word, same = rng.sample(concept, 2)
        rows.append((word, same, rng.choice(rng.choice(concepts))))
    return "MiniSTS", "ranked", (None, None, None), rows


def _paraphrase(rng: random.Random, batch: int):
    """A sentence, the same in other words, and the opposite in the same words."""
    rows = []
    for _ in range(batch):
        frame = grammar.random_frame(rng, held_out=False)
        voice = grammar.random_voice(rng)
        same = grammar.say(frame, _another_voice(rng, voice))
        rows.append((grammar.say(frame, voice), same, grammar.say(grammar.opposite(frame), voice)))
    return "MiniSTS", "ranked", (None, None, None), rows


def _sts(rng: random.Random, batch: int):
    return "MiniSTS", "graded", (None, None), [graded_pair(rng, held_out=False) for _ in range(batch)]


def _pair(rng: random.Random, batch: int):
    rows = [same_or_not(rng, held_out=False) for _ in range(batch)]
    return "MiniPairClassification", "graded", (None, None), rows


def _labelled(task: str, attribute: str):
    """Sentences labelled by one attribute of their meaning (feeling, domain)."""

    def make(rng: random.Random, batch: int):
        frames = [grammar.random_frame(rng, held_out=False) for _ in range(2 * batch)]
        rows = [(grammar.say(f, grammar.random_voice(rng)), int(getattr(f, attribute))) for f in frames]
        return task, "labelled", (None,), rows

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
                    grammar.say(frame, _another_voice(rng, voice)),
                    grammar.say(near, grammar.mixed_voice(rng, voice)),
                )
            )
        return task, "ranked", ("query", "document", "document"), rows

    return make


_classification = _labelled("MiniClassification", "good")
_clustering = _labelled("MiniClustering", "domain")
_retrieval = _asked("MiniRetrieval")
_reranking = _asked("MiniReranking")
