"""``data check``: what a benchmark of own files would evaluate, task by task, and what is wrong with the files."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.own_data.rows import OwnRows, read_rows
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import EXIT_BAD_INPUT, BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.protocol.prompts import check_prompts, prompts_of
from qzhou_eval.protocol.texts import AnyText, TitledText, joined

log = logging.getLogger(__name__)

COLUMNS = ("task", "type", "evaluated", "distinct texts", "repeated", "in train", "characters")
OF_MODEL = ("tokens", "cut")
LEGEND = "characters, tokens: half of the texts have at most the first number, 95 % the second, all the third."


@dataclass(frozen=True)
class TaskTexts:
    """One task's texts.

    Attributes:
        evaluated: how many rows there are, in words.
        sides: texts by side, as mteb asks for them.
        train: the texts that a classifier is fitted on.
    """

    evaluated: str
    sides: dict[str | None, list[AnyText]]
    train: frozenset[str] = frozenset()

    @property
    def texts(self) -> list[str]:
        return [joined(text) for several in self.sides.values() for text in several]


class Limit:
    """What a model's limit does to texts under its profile."""

    def __init__(self, model: str, profile: str | None, benchmark: Benchmark, *, use_instruction: bool) -> None:
        from qzhou_eval.model.tokenizer import PromptTokenizer

        checkpoint = find_checkpoint(model)
        choice = choose_profile(profile, checkpoint)
        self._profile, self._use_instruction = choice.profile, use_instruction
        self._tokenizer = PromptTokenizer(
            checkpoint,
            choice.profile,
            max_length=choice.profile.max_length,
            document_max_length=choice.profile.document_max_length,
            truncate="whole",
        )
        check_prompts(choice.profile, benchmark.tasks, use_instruction=use_instruction)
        self.said = f"{choice}; limit {choice.profile.max_length:,} tokens"

    def cells(self, task: Task, texts: TaskTexts) -> list[str]:
        """The lengths of a task's distinct prompts in tokens, and how many are cut."""
        prompts: dict[str, None] = {}
        for side, several in texts.sides.items():
            how = {"use_instruction": self._use_instruction}
            prompts |= dict.fromkeys(prompts_of(self._profile, task, side, several, **how))
        found = self._tokenizer(list(prompts))
        return [_quantiles([one.size for one in found]), f"{sum(one.cut for one in found):,}"]


def print_check(benchmark: Benchmark, limit: Limit | None = None) -> int:
    """Read all files; print a table, then what is odd, then what is wrong.

    Returns:
        0, or the code for bad input if a task's files cannot be used.
    """
    lines: list[list[str]] = []
    odd: list[str] = []
    wrong: list[BadInput] = []
    for task in benchmark.tasks:
        try:
            rows = None if task.own is None else read_rows(task)
        except BadInput as error:
            wrong.append(error)
            continue
        if rows is None:
            lines.append([task.name, task.type, "mteb's own data, not read here"])
            continue
        texts = texts_of(rows)
        odd += [f"{task.name}: {line}" for line in rows.oddities]
        lines.append([*_line(task, texts), *([] if limit is None else limit.cells(task, texts))])
    if lines:
        headers = [*COLUMNS, *([] if limit is None else OF_MODEL)]
        print(tabulate(lines, headers, disable_numparse=True, missingval=""))
        print(f"\n{LEGEND}" + (f"\n{limit.said}" if limit is not None else ""))
    for line in odd:
        print(line)
    for why in wrong:
        log.error("error: %s", why)
    return EXIT_BAD_INPUT if wrong else 0


def _line(task: Task, texts: TaskTexts) -> list[str]:
    counts = Counter(texts.texts)
    repeated = sum(counts.values()) - len(counts)
    overlap = f"{sum(text in texts.train for text in counts):,}" if texts.train else ""
    lengths = _quantiles([len(text) for text in counts])
    return [task.name, task.type, texts.evaluated, f"{len(counts):,}", f"{repeated:,}", overlap, lengths]


def _quantiles(lengths: Sequence[int]) -> str:
    return ", ".join(f"{length:,.0f}" for length in np.quantile(lengths, (0.5, 0.95, 1), method="inverted_cdf"))


def texts_of(rows: OwnRows) -> TaskTexts:
    """The texts that mteb will ask for."""
    tables = rows.tables
    if "corpus" in tables:
        return _ranked(tables)
    test = tables["test"]
    if "sentence1" in test:
        return TaskTexts(f"{len(test['sentence1']):,} pairs", {None: [*test["sentence1"], *test["sentence2"]]})
    if "sentences" in test:
        texts = [text for several in test["sentences"] for text in several]
        labels = {label for several in test["labels"] for label in several}
        sets = f" in {len(test['sentences'])} sets" if len(test["sentences"]) > 1 else ""
        return TaskTexts(f"{len(texts):,} texts, {len(labels):,} labels{sets}", {None: texts})
    train, labels = frozenset(tables["train"]["text"]), set(test["label"])
    return TaskTexts(f"{len(test['text']):,} texts, {len(labels):,} labels", {None: test["text"]}, train)


def _ranked(tables: dict[str, dict[str, list]]) -> TaskTexts:
    judged = set(tables["judged"]["query-id"])
    queries = [text for name, text in zip(*tables["queries"].values(), strict=True) if name in judged]
    documents = list(_documents(tables["corpus"]))
    sides: dict[str | None, list[AnyText]] = {"query": list(queries), "document": documents}
    return TaskTexts(f"{len(queries):,} queries, {len(documents):,} documents", sides)


def _documents(corpus: dict[str, list]) -> Iterator[AnyText]:
    for title, text in zip(corpus["title"], corpus["text"], strict=True):
        yield TitledText(f"{title} {text}".strip(), title, text) if title else text.strip()
