"""Small data sets in the layouts that mteb's tasks of other benchmarks read, one for each type and way of subsets."""

from pathlib import Path

from layouts import MINI, read_rows, write_header, write_rows

from qzhou_eval.benchmark.of_mteb import task_of_mteb
from qzhou_eval.benchmark.task import Task

PAIRS = read_rows(MINI / "MiniSTS/data/test.jsonl")
TEXTS = list(dict.fromkeys(row[side] for row in PAIRS for side in ("sentence1", "sentence2")))


def _tables(folder: Path, tables: dict[str, dict[str, list[dict]]]) -> None:
    """Write rows by configuration and split, and the header that names them."""
    files = {}
    for config, splits in tables.items():
        for split, rows in splits.items():
            name = f"{config}/{split}.jsonl"
            write_rows(folder / name, rows)
            files.setdefault(config, {})[split] = name
    write_header(folder, files)


def _in_one_table(folder: Path, subsets: dict[str, dict[str, list[dict]]]) -> None:
    """Write subsets as mteb reads most of its multilingual data sets: one table with a column ``lang``."""
    splits: dict[str, list[dict]] = {}
    for subset, of in subsets.items():
        for split, rows in of.items():
            splits.setdefault(split, []).extend(row | {"lang": subset} for row in rows)
    _tables(folder, {"default": splits})


def _intents(folder: Path) -> None:
    """Classification: two subsets, two evaluated splits."""
    rows = [{"text": text, "label": ("good", "bad", "fair")[len(text) % 3]} for text in TEXTS[:400]]
    cut = {"train": rows[:200], "validation": rows[200:260], "test": rows[260:330]}
    other = {"train": rows[100:300], "validation": rows[300:350], "test": rows[320:400]}
    _in_one_table(folder, {"fr": cut, "zh-CN": other})


def _reviews(folder: Path) -> None:
    """Classification: two subsets, each a configuration."""
    rows = [{"text": text, "label": len(text) % 2} for text in TEXTS[:400]]
    one, other = ({"train": rows[at : at + 120], "test": rows[at + 120 : at + 180]} for at in (0, 200))
    for splits in (one, other):
        splits["validation"] = splits["test"][:40]
    _tables(folder, {"en": one, "de": other})


def _pairs(folder: Path) -> None:
    """STS: two of several subsets."""
    _in_one_table(folder, {name: {"test": PAIRS[at::3][:80]} for at, name in enumerate(("zh", "en", "fr"))})


def _mined(folder: Path) -> None:
    """Bitext mining: two subsets."""
    rows = [{"sentence1": row["sentence1"], "sentence2": row["sentence2"]} for row in PAIRS if row["score"] == 5]
    _in_one_table(folder, {"fra-eng": {"test": rows[:60]}, "deu-eng": {"test": rows[30:90]}})


def _searched(folder: Path) -> None:
    """Retrieval: two subsets, a configuration of each for corpus, queries and judgements."""
    tables = {}
    for at, name in enumerate(("fra-fra", "eng-fra")):
        texts = TEXTS[at * 100 : at * 100 + 60]
        tables[f"{name}-corpus"] = {"test": [{"_id": f"d{n}", "title": "", "text": t} for n, t in enumerate(texts)]}
        tables[f"{name}-queries"] = {"test": [{"_id": f"q{n}", "text": t[:9]} for n, t in enumerate(texts[::3])]}
        judged = [{"query-id": f"q{n}", "corpus-id": f"d{3 * n}", "score": 1} for n in range(20)]
        tables[f"{name}-qrels"] = {"test": judged}
    _tables(folder, tables)


def _summaries(folder: Path) -> None:
    rows = [
        {
            "text": TEXTS[at],
            "human_summaries": TEXTS[at + 1 : at + 4],
            "machine_summaries": TEXTS[at + 4 : at + 10],
            "relevance": [float((at + place) % 5) for place in range(6)],
        }
        for at in range(0, 300, 10)
    ]
    _tables(folder, {"default": {"test": rows}})


def _many_labels(folder: Path) -> None:
    rows = [{"text": text, "label": sorted({len(text) % 3, len(text) % 4})} for text in TEXTS[:300]]
    _tables(folder, {"default": {"train": rows[:200], "test": rows[200:]}})


def _years(folder: Path) -> None:
    """Regression: two subsets, each a configuration."""
    rows = [{"text": text, "value": float(2000 + len(text) % 17)} for text in TEXTS[:300]]
    one, other = ({"train": rows[at : at + 100], "test": rows[at + 100 : at + 150]} for at in (0, 150))
    _tables(folder, {"yearpubl_ru": one, "yearpubl_en": other})


def _instructed(folder: Path) -> None:
    """Instruction retrieval: queries with an instruction of their own."""
    corpus = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(TEXTS[:50])]
    queries = [{"_id": f"q{n}", "text": TEXTS[n][:10]} for n in range(20)]
    instructions = [{"query-id": f"q{n}", "instruction": TEXTS[200 + n]} for n in range(20)]
    judged = [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 1} for n in range(20)]
    tables = {"corpus": corpus, "queries": queries, "default": judged, "instruction": instructions}
    _tables(folder, {name: {"test": rows} for name, rows in tables.items()})


def _clustered(folder: Path) -> None:
    """Fast clustering, which draws a part of the texts."""
    labels = [("one", "two", "three", "four")[len(text) % 4] for text in TEXTS]
    _tables(folder, {"default": {"test": [{"sentences": TEXTS, "labels": labels}]}})


def _followed(folder: Path) -> None:
    """Instruction reranking: each query with an instruction and with a changed one, which changes the judgements."""
    queries, judged, ranked, instructions, changed = [], [], [], [], []
    for number in range(12):
        names = [f"d{(number * 5 + place) % 60}" for place in range(10)]
        for kind in ("og", "changed"):
            query = f"{number}-{kind}"
            queries.append({"_id": query, "text": TEXTS[number][:12]})
            instructions.append({"query-id": query, "instruction": f"{TEXTS[100 + number]} {kind}"})
            ranked.append({"query-id": query, "corpus-ids": names})
            good = names[:3] if kind == "og" else names[:2]
            judged += [{"query-id": query, "corpus-id": one, "score": int(one in good)} for one in names]
        changed.append({"query-id": str(number), "corpus-ids": names[2:3]})
    corpus = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(TEXTS[:60])]
    tables = {"corpus": corpus, "queries": queries, "default": judged, "top_ranked": ranked}
    tables |= {"instruction": instructions}
    _tables(folder, {name: {"test": rows} for name, rows in tables.items()} | {"qrel_diff": {"qrel_diff": changed}})


MAKERS = {
    "MassiveIntentClassification": (_intents, ("fr", "zh-CN")),
    "AmazonCounterfactualClassification": (_reviews, ("en", "de")),
    "STS22.v2": (_pairs, ("zh", "en")),
    "Tatoeba": (_mined, ("fra-eng", "deu-eng")),
    "XPQARetrieval": (_searched, ("fra-fra", "eng-fra")),
    "SummEvalFrSummarization.v2": (_summaries, ()),
    "CEDRClassification": (_many_labels, ()),
    "TwentyNewsgroupsClustering.v2": (_clustered, ()),
    "Core17InstructionRetrieval": (_followed, ()),
    "IFIRNFCorpus": (_instructed, ()),
    "RuSciBenchYearPublRegression": (_years, ("yearpubl_ru", "yearpubl_en")),
}


def other_task(name: str, root: Path) -> Task:
    """Write a task's data below ``root``, and return the task."""
    make, subsets = MAKERS[name]
    task = task_of_mteb(name, (), subsets, where="test")
    make(root / task.path)
    return task
