"""Write the miniature's task data from the grammar, as a user's own data: plain files.

    python -m qzhou_eval.miniature.build_data --output_dir qzhou_eval/benchmark/data

All sentences have meanings that training never saw. Opposites repeat the words of the
sentence they differ from; half of the paraphrases use entirely different words.
"""

import argparse
import json
import random
from pathlib import Path

from qzhou_eval.miniature import grammar
from qzhou_eval.miniature.lessons import graded_pair, same_or_not

# One opposite in fourteen pairs: enough to tell meaning from spelling, not so many that spelling misleads.
STS_SCORES = (0, 0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5)
NEAR = ("time", "person", "entity")


Files = dict[str, list[dict]]  # rows by the file's name


def _sts(rng: random.Random) -> Files:
    rows = [graded_pair(rng, held_out=True, scores=STS_SCORES) for _ in range(640)]
    return {"sts.jsonl": [dict(sentence1=a, sentence2=b, score=s) for a, b, s in rows]}


def _pair(rng: random.Random) -> Files:
    rows = [same_or_not(rng, held_out=True) for _ in range(320)]
    return {"pairs.jsonl": [dict(sentence1=one, sentence2=two, label=label) for one, two, label in rows]}


def _sentence(rng: random.Random) -> tuple[grammar.Frame, str]:
    frame = grammar.random_frame(rng, held_out=True)
    return frame, grammar.say(frame, grammar.random_voice(rng))


def _classification(rng: random.Random) -> Files:
    def rows(count: int) -> list[dict]:
        drawn = [_sentence(rng) for _ in range(count)]
        return [dict(text=text, label=int(frame.good)) for frame, text in drawn]

    return {"classification/train.jsonl": rows(160), "classification/test.jsonl": rows(240)}


def _clustering(rng: random.Random) -> Files:
    drawn = [(number, *_sentence(rng)) for number in (1, 2) for _ in range(160)]
    return {"clustering.jsonl": [dict(set=number, text=text, label=frame.domain) for number, frame, text in drawn]}


def _asked(rng: random.Random, *, queries: int, near: int) -> list[tuple[str, list[str]]]:
    """Questions, each with its documents: two answers, then ``near`` near misses that share some of its words."""
    found = []
    for _ in range(queries):
        frame = grammar.random_frame(rng, held_out=True)
        voice = grammar.random_voice(rng)
        documents = [
            grammar.say(frame, grammar.other_voice(rng, voice)),
            grammar.say(grammar.opposite(frame), grammar.mixed_voice(rng, voice)),
        ]
        documents += [
            grammar.say(grammar.change(rng, frame, NEAR[i % len(NEAR)]), grammar.mixed_voice(rng, voice))
            for i in range(near)
        ]
        found.append((grammar.ask(frame, voice), documents))
        rng.sample(documents, len(documents))  # draws as much as ever, so that the texts after it stay the same
    return found


def _retrieval(rng: random.Random) -> Files:
    tables: Files = {f"retrieval/{name}.jsonl": [] for name in ("corpus", "queries", "qrels")}
    corpus, queries, judged = tables.values()
    for number, (question, documents) in enumerate(_asked(rng, queries=90, near=3)):
        queries.append({"_id": f"q{number}", "text": question})
        corpus += [{"_id": f"d{number}-{place}", "text": text} for place, text in enumerate(documents)]
        judged += [{"query-id": f"q{number}", "corpus-id": f"d{number}-{place}", "score": 1} for place in (0, 1)]
    return tables


def _reranking(rng: random.Random) -> Files:
    asked = _asked(rng, queries=60, near=6)
    return {"reranking.jsonl": [dict(query=query, positive=texts[:2], negative=texts[2:]) for query, texts in asked]}


def build(rng: random.Random) -> Files:
    """The files of all six tasks."""
    found: Files = {}
    for make in (_sts, _pair, _classification, _clustering, _retrieval, _reranking):
        found |= make(rng)
    return found


def write(folder: Path, *, seed: int = 20250924) -> None:
    """Write every file below ``folder/mini``, one JSON object per line."""
    for name, rows in build(random.Random(seed)).items():
        path = folder / "mini" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the miniature's task data.")
    parser.add_argument("--output_dir", type=Path, required=True)
    write(parser.parse_args().output_dir)
