"""The report's findings: quality, match with published scores, cost of fewer dimensions, gain by TP. No language."""

from qzhou_eval.benchmark.averages import MEAN_TYPE
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.checks.compare.comparison import Judged
from qzhou_eval.report.content.baseline_scores import not_above
from qzhou_eval.report.content.elements import Finding, Text, mean_of, said
from qzhou_eval.report.content.estimates import Estimate, Scored
from qzhou_eval.report.content.mean_tables import dimensions, layers_of, token_prepending_pairs, widest
from qzhou_eval.report.content.scope import own, shared

FEW = 6  # up to this many tasks are listed with their scores
TONES = {"OK": "good", "CLOSE": "open", "OFF": "bad"}


def main_row(rows: list[Scored], benchmark: Benchmark) -> Scored:
    """The row that the headline is about: among settings at their widest, the nearest to the profile's own protocol,
    then the one with most tasks, then the best on the tasks that all have.
    """
    every = list(widest(rows).values())
    common = shared(every, benchmark)

    def merit(row: Scored) -> tuple[int, int, float]:
        changed = sum(key not in ("profile", "mteb") for key, _ in row.setting.experiment)
        return -changed, len(row.have(benchmark)), common.overall(row).points if common else 0.0

    return max(every, key=merit)


def headline(main: Scored, benchmark: Benchmark) -> Text:
    """Which results the findings are about."""
    scope = own(main, benchmark)
    key = "headline" if main.dim else "headline.full"
    values = {
        "dim": main.dim,
        "tasks": len(scope.tasks),
        "of": scope.of,
        "tp": layers_of(main),
        "benchmark": benchmark.title,
    }
    return Text(key if scope.is_whole else f"{key}_part", values)


def quality(main: Scored, benchmark: Benchmark) -> Finding:
    """The overall means; for a part of the tasks their mean, named as such, and each score if there are few."""
    scope = own(main, benchmark)
    mean = scope.overall(main)
    key = "finding.mean" if scope.is_whole else "finding.mean_part"
    under = Text(key, {"mean": scope.mean_name, "range": _range(mean)})
    text: tuple[Text, ...] = ()
    if scope.is_whole and MEAN_TYPE in scope.names:
        by_type = scope.row(main)[MEAN_TYPE]
        text = (Text("finding.by_type", {"mean": by_type.value, "range": _range(by_type)}),)
    if scope.is_whole and not benchmark.packaged and 1 < len(scope.tasks) <= FEW:
        text = (*text, Text("finding.by_task", {"scores": tuple(_score(task, main.of(task)) for task in scope.tasks)}))
    if not scope.is_whole:
        have = {"have": len(scope.tasks), "of": scope.of, "mean": mean_of(benchmark)}
        each = 1 < len(scope.tasks) <= FEW
        scores = tuple(_score(task, main.of(task)) for task in scope.tasks) if each else ()
        run = Text("finding.part_scores" if each else "finding.part", have | {"scores": scores})
        text = (run, Text("finding.needs_all", have))
    return Finding("quality", _points(mean.points), under, (*text, *not_above(main, scope.tasks)))


def _score(task: str, one: Estimate) -> Text:
    values = {"task": task, "value": one.value, "range": _range(one)}
    return Text("finding.score" if one.draws is None else "finding.score_range", values)


def as_published(judged: Judged | None, benchmark: Benchmark) -> Finding | None:
    """The verdict on the published scores, or why there is none; None for a model without published scores."""
    if not benchmark.comparable:
        own_note = (said(benchmark.note),) if benchmark.note else ()
        return Finding("published", Text("finding.not_comparable"), None, own_note, "open")
    if judged is None:
        return None
    (one,) = judged.comparisons
    counts = {name: judged.counts[name] for name in TONES}
    unlike = ", ".join(one.unlike)
    if not any(counts.values()):
        why = Text("finding.unlike", {"facts": unlike or "-"})
        return Finding("published", Text("finding.not_comparable"), None, (why,), "open")
    worst = max((name for name in TONES if counts[name]), key=list(TONES).index)
    text = [Text("finding.verdicts", counts | {"of": sum(counts.values())})]
    if one.left_out:
        text.append(Text("finding.left_out", {"count": len(one.left_out), "of": len(one.rows), "facts": unlike}))
    if stated := dict.fromkeys(d.fact for d in one.differences if d.comparable):
        text.append(Text("finding.stated", {"facts": ", ".join(stated)}))
    return Finding("published", Text("text", {"text": worst}), None, tuple(text), TONES[worst])


def cost_of_dimensions(main: Scored, rows: list[Scored], benchmark: Benchmark) -> Finding | None:
    """What the narrowest dimension costs, and the narrowest without a significant difference from full width."""
    scope = dimensions([row for row in rows if row.setting == main.setting], benchmark)
    if scope is None:
        return None
    full = scope.overall(main)
    costs = {row.dim: scope.overall(row) - full for row in scope.rows[:-1]}
    narrowest, least = next(iter(costs.items()))
    same = [dim for dim, cost in costs.items() if cost.sure is False]
    if full.draws is None:
        text = Text("note.no_items")
    elif not same:
        text = Text("finding.all_cost", {"full": main.dim})
    elif min(same) == narrowest:
        text = Text("finding.no_cost", {"full": main.dim})
    else:
        figure = {"dim": min(same), "full": main.dim, "cost": costs[min(same)].value}
        text = Text("finding.enough", figure | {"range": _range(costs[min(same)], signed=True)})
    values = {"dim": narrowest, "full": main.dim, "range": _range(least, signed=True), "mean": scope.mean_name}
    under = Text("finding.narrowest" if scope.is_whole else "finding.narrowest_part", values)
    return Finding("dimensions", _change(least), under, (text,))


def gain_of_token_prepending(main: Scored, rows: list[Scored], benchmark: Benchmark) -> Finding | None:
    """What token prepending adds overall, and on how many tasks that is significant."""
    pairs = token_prepending_pairs(rows, benchmark).values()
    scope = next((one for one in pairs if any(side.setting == main.setting for side in one.rows)), None)
    if scope is None:
        return None
    off, on = scope.rows[0], main if main.setting.token_prepending else scope.rows[-1]
    gain = scope.overall(on) - scope.overall(off)
    points = Text("points.of_whole" if scope.is_whole else "points.of_part", {"mean": scope.mean_name})
    if gain.draws is None:
        under = Text("finding.tp_gain", {"points": points})
        return Finding("token_prepending", _change(gain), under, (Text("note.no_items"),))
    verdict = "finding.tp_open" if not gain.sure else "finding.tp_helps" if gain.points > 0 else "finding.tp_hurts"
    under = Text("finding.tp_gain_range", {"points": points, "range": _range(gain, signed=True)})
    by_task = [] if len(scope.tasks) == 1 else [on.of(task) - off.of(task) for task in scope.tasks]
    counts = {
        "better": sum(bool(one.sure) and one.points > 0 for one in by_task),
        "worse": sum(bool(one.sure) and one.points < 0 for one in by_task),
        "open": sum(not one.sure for one in by_task),
    }
    text = (Text(verdict), *[Text("finding.tp_tasks", counts)] * bool(by_task))
    return Finding("token_prepending", _change(gain), under, text)


def _points(value: float) -> Text:
    return Text("points", {"value": value})


def _change(one: Estimate) -> Text:
    return Text("change.unsure" if one.sure is False else "change", {"value": one.value})


def _range(one: Estimate, *, signed: bool = False) -> Text:
    bounds = one.bounds
    if bounds is None:
        return Text("no_interval")
    low, high = bounds
    form = "+.2f" if signed else "z.2f"
    return Text("interval", {"low": format(low, form), "high": format(high, form)})
