"""Write the miniature's task data from the grammar, in the folder layout of the hub's data sets.

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


def _sts(rng: random.Random) -> dict[str, list[dict]]:
    rows = [graded_pair(rng, held_out=True, scores=STS_SCORES) for _ in range(640)]
    return {"data/test": [dict(sentence1=a, sentence2=b, score=s) for a, b, s in rows]}


def _pair(rng: random.Random) -> dict[str, list[dict]]:
    one, two, labels = zip(*(same_or_not(rng, held_out=True) for _ in range(320)), strict=True)
    return {"data/validation": [dict(sentence1=one, sentence2=two, labels=labels)]}


def _sentence(rng: random.Random) -> tuple[grammar.Frame, str]:
    frame = grammar.random_frame(rng, held_out=True)
    return frame, grammar.say(frame, grammar.random_voice(rng))


def _classification(rng: random.Random) -> dict[str, list[dict]]:
    def rows(count: int) -> list[dict]:
        drawn = [_sentence(rng) for _ in range(count)]
        return [dict(text=text, label=int(frame.good)) for frame, text in drawn]

    return {"data/train": rows(160), "data/test": rows(240)}


def _clustering(rng: random.Random) -> dict[str, list[dict]]:
    def one_set() -> dict:
        drawn = [_sentence(rng) for _ in range(160)]
        return dict(sentences=[text for _, text in drawn], labels=[f.domain for f, _ in drawn])

    return {"data/test": [one_set(), one_set()]}


def _asked(rng: random.Random, *, queries: int, near: int, ranked: bool) -> dict[str, list[dict]]:
    """Questions, each with two answers and ``near`` near misses that share some of the question's words."""
    tables: dict[str, list[dict]] = {"corpus": [], "queries": [], "data": [], "top_ranked": []}
    for number in range(queries):
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
        ids = [f"d{number}-{i}" for i in range(len(documents))]
        tables["queries"].append({"_id": f"q{number}", "text": grammar.ask(frame, voice)})
        tables["corpus"] += [{"_id": id, "title": "", "text": text} for id, text in zip(ids, documents, strict=True)]
        judged = ids if ranked else ids[:2]
        tables["data"] += [{"query-id": f"q{number}", "corpus-id": id, "score": int(id in ids[:2])} for id in judged]
        tables["top_ranked"].append({"query-id": f"q{number}", "corpus-ids": rng.sample(ids, len(ids))})
    if not ranked:
        del tables["top_ranked"]
    return {f"{folder}/dev": rows for folder, rows in tables.items()}


def build(rng: random.Random) -> dict[str, dict[str, list[dict]]]:
    """All six tasks: task name -> file (folder/split) -> rows."""
    return {
        "MiniSTS": _sts(rng),
        "MiniPairClassification": _pair(rng),
        "MiniClassification": _classification(rng),
        "MiniClustering": _clustering(rng),
        "MiniRetrieval": _asked(rng, queries=90, near=3, ranked=False),
        "MiniReranking": _asked(rng, queries=60, near=6, ranked=True),
    }


def _readme(files: list[str]) -> str:
    """The YAML header from which ``datasets`` reads the configs of a retrieval data set."""
    if not any(name.startswith("corpus") for name in files):
        return ""
    lines = ["---", "configs:"]
    for name in files:
        folder, split = name.split("/")
        config = "default" if folder == "data" else folder
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [f"  - split: {split}", f"    path: {name}.jsonl"]
    return "\n".join([*lines, "---", ""])


def write(folder: Path, *, seed: int = 20250924) -> None:
    """Write every task below ``folder/mini``, one JSON object per line."""
    for task, files in build(random.Random(seed)).items():
        for name, rows in files.items():
            path = folder / "mini" / task / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            path.write_text("\n".join(lines) + "\n", "utf-8")
        if readme := _readme(list(files)):
            (folder / "mini" / task / "README.md").write_text(readme, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the miniature's task data.")
    parser.add_argument("--output_dir", type=Path, required=True)
    write(parser.parse_args().output_dir)
