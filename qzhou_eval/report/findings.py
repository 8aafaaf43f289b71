"""The report in a minute: how good, as published, what fewer dimensions cost, whether TP helps. Values, no words."""

from qzhou_eval.compare.judge import Judged
from qzhou_eval.report.tables import layers_of, tasks_of, token_prepending_pairs, widest
from qzhou_eval.report.uncertainty import Estimate, Scored
from qzhou_eval.report.values import Finding, Said

TONES = {"OK": "good", "CLOSE": "open", "OFF": "bad"}


def main_row(rows: list[Scored], benchmark: str) -> Scored:
    """What the headline is of: among settings at their widest, the one nearest to the profile's own protocol, then with
    most tasks, then the best.
    """

    def merit(row: Scored) -> tuple[int, int, float]:
        changed = sum(key not in ("profile", "mteb") for key, _ in row.setting.experiment)
        scored = sum(row.of(task).value is not None for task in tasks_of(benchmark))
        return -changed, scored, row.row(benchmark)["Mean(Task)"].value or 0.0

    return max(widest(rows).values(), key=merit)


def headline(main: Scored, benchmark: str) -> Said:
    """Which results the findings are of."""
    have = sum(main.of(task).value is not None for task in tasks_of(benchmark))
    values = {"dim": main.dim, "tasks": have, "tp": layers_of(main)}
    return Said("headline" if main.dim else "headline.full", values | {"benchmark": Said(f"benchmark.{benchmark}")})


def quality(main: Scored, benchmark: str) -> Finding:
    """The overall means; without all tasks, how many there are."""
    row, tasks = main.row(benchmark), tasks_of(benchmark)
    mean, by_type = row["Mean(Task)"], row["Mean(TaskType)"]
    if mean.value is None:
        have = sum(main.of(task).value is not None for task in tasks)
        part = Said("finding.part", {"have": have, "of": len(tasks)})
        return Finding("quality", part, None, (Said("finding.no_mean"),))
    text = (Said("finding.by_type", {"mean": by_type.value, "range": _range(by_type)}),)
    return Finding("quality", _points(mean.value), Said("finding.mean_task", {"range": _range(mean)}), text)


def as_published(judged: Judged | None, benchmark: str) -> Finding:
    """The verdict against the published scores, or why there is none."""
    if benchmark == "mini":
        return Finding("published", Said("finding.not_comparable"), None, (Said("note.generated"),), "open")
    if judged is None:
        return Finding("published", Said("text", {"text": "–"}), None, (Said("finding.unpublished"),), "open")
    (one,) = judged.comparisons
    counts = {name: judged.counts[name] for name in TONES}
    if not any(counts.values()):
        facts = {"facts": ", ".join(one.unlike) or "-"}
        return Finding("published", Said("finding.not_comparable"), None, (Said("finding.unlike", facts),), "open")
    worst = max((name for name in TONES if counts[name]), key=list(TONES).index)
    text = [Said("finding.verdicts", counts | {"of": sum(counts.values())})]
    if one.left_out:
        facts = ", ".join(one.unlike)
        text.append(Said("finding.left_out", {"count": len(one.left_out), "of": len(one.rows), "facts": facts}))
    if stated := dict.fromkeys(d.fact for d in one.differences if d.comparable):
        text.append(Said("finding.stated", {"facts": ", ".join(stated)}))
    return Finding("published", Said("text", {"text": worst}), None, tuple(text), TONES[worst])


def dimensions(main: Scored, rows: list[Scored], benchmark: str) -> Finding | None:
    """What the narrowest dimension costs, and the narrowest that the items cannot tell from full width."""
    several = sorted((row for row in rows if row.setting == main.setting), key=lambda row: row.dim)
    full = several[-1].row(benchmark)["Mean(Task)"]
    costs = {row.dim: row.row(benchmark)["Mean(Task)"] - full for row in several[:-1]}
    if not costs or any(cost.value is None for cost in costs.values()):
        return None
    narrowest, least = min(costs), next(iter(costs.values()))
    under = Said("finding.narrowest", {"dim": narrowest, "full": main.dim, "range": _range(least, signed=True)})
    same = [dim for dim, cost in costs.items() if cost.sure is False]
    if full.draws is None:
        text = Said("note.no_items")
    elif not same:
        text = Said("finding.all_cost", {"full": main.dim})
    elif min(same) == narrowest:
        text = Said("finding.no_cost", {"full": main.dim})
    else:
        figure = {"dim": min(same), "full": main.dim, "cost": costs[min(same)].value}
        text = Said("finding.enough", figure | {"range": _range(costs[min(same)], signed=True)})
    return Finding("dimensions", _change(least), under, (text,))


def token_prepending(main: Scored, rows: list[Scored], benchmark: str) -> Finding | None:
    """What token prepending adds overall, and on how many tasks that is sure."""
    pairs = token_prepending_pairs(rows).values()
    pair = next((sides for sides in pairs if any(side.setting == main.setting for side in sides)), None)
    if pair is None:
        return None
    off, on = pair[0], main if main.setting.token_prepending else pair[-1]
    gain = on.row(benchmark)["Mean(Task)"] - off.row(benchmark)["Mean(Task)"]
    by_task = [one for task in tasks_of(benchmark) if (one := on.of(task) - off.of(task)).value is not None]
    if gain.value is None:
        return None
    if gain.draws is None:
        return Finding("token_prepending", _change(gain), Said("finding.tp_gain"), (Said("note.no_items"),))
    counts = {
        "better": sum(one.sure and one.value > 0 for one in by_task),
        "worse": sum(one.sure and one.value < 0 for one in by_task),
        "open": sum(not one.sure for one in by_task),
    }
    verdict = "finding.tp_open" if not gain.sure else "finding.tp_helps" if gain.value > 0 else "finding.tp_hurts"
    text = (Said(verdict), Said("finding.tp_tasks", counts))
    under = Said("finding.tp_gain_range", {"range": _range(gain, signed=True)})
    return Finding("token_prepending", _change(gain), under, text)


def _points(value: float) -> Said:
    return Said("points", {"value": value})


def _change(one: Estimate) -> Said:
    return Said("change.unsure" if one.sure is False else "change", {"value": one.value})


def _range(one: Estimate, *, signed: bool = False) -> Said:
    low, high = one.bounds
    if low is None:
        return Said("no_interval")
    form = "+z.2f" if signed else "z.2f"
    return Said("interval", {"low": format(low, form), "high": format(high, form)})
