"""Shared by tests of the report: a results folder with items of known differences, and reading its page back."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from stored import WIDTH, variant
from written import result_json

from qzhou_eval.benchmark.packaged import miniature, packaged_tasks
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import record_for
from qzhou_eval.statistics.item_scores import Items, write_items
from qzhou_eval.system.paths import items_path

TASKS = list(packaged_tasks())
MINI = list(miniature().names)
ITEMS = 400
DIMS = (4, 8, WIDTH)
BASE = np.random.default_rng(0).uniform(0.2, 0.8, ITEMS)
SWAPS = 0.1 * np.where(np.arange(ITEMS) % 2, 1, -1)  # gains as much as it loses
PROVENANCE = {"model": {"weights_sha256": "ab" * 32, "tokenizer_sha256": "cd" * 32}}


def values_of(task: str, dim: int, *, tp: bool) -> np.ndarray:
    """Each item's score, 0 to 1. Dimension 4 loses 0.05 per item; 8 gains or loses 0.1 in turn, losing 0.001 overall.

    TP adds 0.02 to every item, but nothing to STS.
    """
    values = BASE + 0.01 * ((TASKS.index(task) - 1) % 6) - 0.05 * (dim == 4) + (SWAPS - 0.001) * (dim == 8)
    return values + 0.02 * (tp and task != "MiniSTS")


def write_results(
    folder, *, tasks=MINI, dims=DIMS, tps=(True, False), items=True, prompt="a prompt", apart=(), **changed
):
    """Write results of one model at three dimensions, with token prepending and without."""
    for dim in dims:
        for tp in tps:
            one = variant(dim)
            experiment = (("dim", dim),) * (dim != WIDTH) + (("token_prepending", "off"),) * (not tp) + apart
            layers = (1, 7) if tp else None
            put_items(
                folder, replace(one, experiment=experiment, token_prepending=layers, **changed), tasks, items, prompt
            )
    return folder


def put_items(folder, one, tasks, items, prompt):
    for name in tasks:
        task = packaged_tasks()[name]
        values = values_of(name, one.dim, tp=one.token_prepending is not None)[None].astype(np.float32)
        path = folder / one.folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        score = float(values.astype(np.float64).mean())
        record = record_for(task, "local-1")
        path.write_text(result_json(name, record, {task.splits[0]: score}))
        if items:
            write_items(items_path(path), Items("mean", "queries", {task.splits[0]: values}, {}))
        counts = {"texts": 12, "tokens": 345, "samples": {"text": prompt, "query": prompt}, "code": {"commit": "12ab"}}
        Manifest(folder).add([one], name, record, counts, PROVENANCE)


class Page(HTMLParser):
    """A page parsed as by a browser: elements with their attributes, and tables as text."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.bold: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append(("", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
            self.best = "best" in dict(attributes).get("class", "").split()

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "caption" in self.open:
            caption, rows = self.tables[-1]
            self.tables[-1] = (caption + data.strip(), rows)
        elif "small" not in self.open and {"td", "th"} & set(self.open):
            self.tables[-1][1][-1][-1] += data.strip()
            if self.best and "td" in self.open:
                self.bold.append(data.strip())
