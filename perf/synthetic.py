"""Data sets of random characters, as large as the official ones according to mteb's statistics.

The numbers of texts, of distinct texts and of judgements are the official ones, and lengths have the official minimum,
average and maximum. Characters are drawn from a Zipf distribution over 6,000 ideographs and two punctuation marks,
labels and judgements at random, so scores mean nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import mteb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qzhou_eval.benchmark.task import Task

ALPHABET = np.array([ord("，"), ord("。"), *range(0x4E00, 0x4E00 + 6000)], np.uint32)
SPREAD = 0.8  # standard deviation of a length's logarithm
SETS = 10  # of a clustering task
_AT_ONCE = 20_000  # texts at a time

_cumulated = np.cumsum(1 / (np.arange(len(ALPHABET)) + 2.7))
_cumulated /= _cumulated[-1]


class Synthetic:
    """Writes a task's data set in the hub's layout below a folder.

    Args:
        share: the share of the official numbers of rows.
    """

    def __init__(self, root: Path, share: float, seed: int = 0) -> None:
        self._root, self._share, self._seed = root, share, seed

    def write(self, task: Task) -> None:
        """Write the task's data, unless it is already complete; the README is written last."""
        folder = self._root / task.path
        if (folder / "README.md").exists():
            return
        self._random = np.random.default_rng([self._seed, *task.name.encode()])
        shipped = mteb.get_task(task.name).metadata.descriptive_stats
        splits = [*task.splits, *(["train"] if task.type == "Classification" else [])]
        configs: dict[str, list[str]] = {}
        for split in splits:
            for name, table in self._tables(task.type, shipped[split]):
                sub = "data" if name == "default" else name
                write_table(folder / sub / f"{split}-00000-of-00001.parquet", table)
                configs.setdefault(name, []).append(split)
        write_header(folder, configs)

    def sample(self, number: int) -> list[str]:
        """This number of texts of fifty characters, which are in no data set."""
        self._random = np.random.default_rng([self._seed])
        return self._drawn(np.full(number, 50))

    def _tables(self, kind: str, counts: dict) -> Iterator[tuple[str, pa.Table]]:
        """One split's tables, by configuration."""
        if kind in ("Retrieval", "Reranking"):
            yield from self._ranked(counts)
        elif kind == "Classification":
            texts = self._texts(counts["text_statistics"], self._scaled(counts["num_samples"]))
            yield "default", pa.table({"text": texts, "label": self._labels(counts["label_statistics"], len(texts))})
        elif kind == "Clustering":
            texts = self._texts(counts["text_statistics"], self._scaled(counts["num_samples"]))
            labels = self._labels(counts["label_statistics"], len(texts))
            sets = min(SETS, len(texts) // 100 or 1)
            yield "default", pa.table({"sentences": lists(texts, sets), "labels": lists(labels, sets)})
        else:
            number = self._scaled(counts["num_samples"])
            one, two = (self._texts(counts[f"text{side}_statistics"], number) for side in (1, 2))
            if kind == "PairClassification":  # one row of lists
                labels = pa.array(self._random.integers(0, 2, number))
                columns = {"sent1": lists(one, 1), "sent2": lists(two, 1), "labels": lists(labels, 1)}
            else:
                greatest = counts["label_statistics"]["max_score"]
                columns = {"sentence1": one, "sentence2": two, "score": self._random.integers(0, greatest + 1, number)}
            yield "default", pa.table(columns)

    def _ranked(self, counts: dict) -> Iterator[tuple[str, pa.Table]]:
        """Corpus, queries, judgements and, for reranking, candidates; each document belongs to one query."""
        documents, queries = (self._scaled(counts[f"num_{name}"]) for name in ("documents", "queries"))
        candidates = counts["top_ranked_statistics"]
        if candidates:  # as many per query as officially, however few queries there are
            documents = round(queries * candidates["average_top_ranked_per_query"])
        of_documents = np.array([f"d{number}" for number in range(documents)])
        of_queries = np.array([f"q{number}" for number in range(queries)])
        texts = self._texts(counts["documents_text_statistics"], documents)
        yield "corpus", pa.table({"_id": of_documents, "text": texts, "title": np.full(documents, "")})
        yield "queries", pa.table({"_id": of_queries, "text": self._texts(counts["queries_text_statistics"], queries)})
        relevant = counts["relevant_docs_statistics"]["average_relevant_docs_per_query"]
        if candidates:
            among = np.array_split(np.arange(documents), queries)
            columns = {"query-id": of_queries, "corpus-ids": lists(pa.array(of_documents), queries)}
            yield "top_ranked", pa.table(columns)
            found = [some[: min(len(some), 1 + self._random.poisson(relevant - 1))] for some in among]
        else:
            found = [self._random.integers(0, documents, 1 + self._random.poisson(relevant - 1)) for _ in of_queries]
            found = [np.unique(some) for some in found]
        asked = np.repeat(of_queries, [len(some) for some in found])
        judged = {"query-id": asked, "corpus-id": of_documents[np.concatenate(found)]}
        yield "default", pa.table(judged | {"score": np.ones(len(asked), np.int64)})

    def _scaled(self, number: int) -> int:
        return max(round(self._share * number), min(number, 30))

    def _labels(self, counts: dict, number: int) -> pa.Array:
        """Numbers from 0, as frequent as the official labels."""
        weights = np.array([count["count"] for count in counts["labels"].values()], float)
        return pa.array(self._random.choice(len(weights), number, p=weights / weights.sum()))

    def _texts(self, counts: dict, number: int) -> pa.Array:
        """``number`` texts, as many of them distinct as in the official data, in random order."""
        official = counts["total_text_length"] / counts["average_text_length"]
        distinct = min(number, max(1, round(number * counts["unique_texts"] / official)))
        lengths = self._lengths(counts, distinct)
        parts = [lengths[start : start + _AT_ONCE] for start in range(0, distinct, _AT_ONCE)]
        texts = self._distinct([text for part in parts for text in self._drawn(part)])
        order = np.concatenate([np.arange(distinct), self._random.integers(0, distinct, number - distinct)])
        return pa.array(texts, pa.string()).take(pa.array(self._random.permutation(order)))

    def _lengths(self, counts: dict, number: int) -> np.ndarray:
        """Characters of each text, int64 (number,): log-normal between the official bounds, with the official mean."""
        least, mean, most = (counts[f"{name}_text_length"] for name in ("min", "average", "max"))
        drawn, factor = self._random.lognormal(0, SPREAD, number), mean
        for _ in range(20):
            lengths = np.clip(factor * drawn, least, most)
            factor *= mean / lengths.mean()
        return np.rint(lengths).astype(np.int64)

    def _drawn(self, lengths: np.ndarray) -> list[str]:
        letters = ALPHABET[np.searchsorted(_cumulated, self._random.random(lengths.sum()))]
        text = letters.tobytes().decode("utf-32-le")
        ends = np.cumsum(lengths).tolist()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _distinct(self, texts: list[str]) -> list[str]:
        """The texts without repetitions: a short text that occurred before is made longer."""
        seen, found = set(), []
        for drawn in texts:
            text = drawn
            while text in seen:
                text += chr(self._random.choice(ALPHABET))
            seen.add(text)
            found.append(text)
        return found


def lists(values: pa.Array, number: int) -> pa.Array:
    """The same values split into this number of rows of lists."""
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(len(values)), number)])
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), values)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file with zstd compression, as on the hub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=_AT_ONCE)


def write_header(folder: Path, configs: dict[str, list[str]]) -> None:
    """The YAML header of the data set's README, from which its configurations are read."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {'data' if name == 'default' else name}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), "utf-8")
