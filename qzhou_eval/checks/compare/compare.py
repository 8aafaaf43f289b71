"""The ``compare`` command: judges every pair, then prints what differs and the scores side by side."""

from pathlib import Path

from tabulate import tabulate

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.checks.compare import write_difference, write_replication
from qzhou_eval.checks.compare.comparison import Comparison, judge_all
from qzhou_eval.checks.compare.differences import Difference, unknown_facts
from qzhou_eval.checks.compare.footnotes import DIMENSION_NOTE
from qzhou_eval.checks.compare.matching import pairs
from qzhou_eval.checks.compare.rows import REASONS, VERDICTS
from qzhou_eval.checks.compare.sides import from_folder
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput
from qzhou_eval.system.formatting import first_few


def compare(
    results: Path, to: str, score_profile: str, *, benchmark: Benchmark | None = None, allow_mismatch: bool
) -> int:
    """Compare the results in a folder with the published scores, another folder or a file, and print the comparison.

    Args:
        benchmark: the only one that is compared; None for all that the results are of.

    Returns:
        0, or 1 if a score or a mean of a replication is OFF. Scores that are not comparable do not count.

    Raises:
        BadInput: there is nothing to compare, or nothing is comparable.
    """
    sides = from_folder(results, score_profile, benchmark)
    found, alone = pairs(sides, to, score_profile, benchmark)
    judged = judge_all(found, sides, score_profile)
    shown = [one for one in judged.comparisons if allow_mismatch or one.compares]
    for group in _by_setting(judged.comparisons):
        _print_group(group, allow_mismatch=allow_mismatch)
    write_replication.print_card([row for row in judged.card if allow_mismatch or not row.unlike])
    for line in alone:
        print(f"not compared: {line}")
    if not shown:
        unlike = ", ".join(dict.fromkeys(fact for one in judged.comparisons for fact in one.unlike))
        raise BadInput(
            f"not comparable: {unlike or 'no score on both sides'} (--allow-mismatch shows the scores anyway, marked)"
        )
    if any(one.replication for one in shown):
        print(f"\n{REASONS}\nverdict: {', '.join(f'{judged.counts[name]} {name}' for name in VERDICTS)}")
    return EXIT_CHECK_FAILED if judged.counts["OFF"] else 0


def _by_setting(judged: list[Comparison]) -> list[list[Comparison]]:
    """Group the comparisons by kind, model and setting, the widest dimension first."""
    groups: dict[tuple, list[Comparison]] = {}
    for one in sorted(judged, key=lambda c: (c.ours.dim != c.ours.width, -c.ours.dim)):
        key = (one.replication, one.ours.model, one.ours.revision, one.ours.setting, one.ours.generation)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _print_group(group: list[Comparison], *, allow_mismatch: bool) -> None:
    """Print the widest dimension in full; for each other one a line, and what differs only there."""
    widest = group[0]
    kind = write_replication if widest.replication else write_difference
    _print_heading(widest)
    if rows := widest.rows if allow_mismatch else widest.compared:
        kind.print_scores(widest, rows)
    for one in group[1:]:
        if further := [d for d in one.differences if d not in widest.differences]:
            print(f"\nalso at dim {one.ours.dim}")
            _print_differences(further)
    if narrower := [one for one in group[1:] if allow_mismatch or one.compares]:
        kind.print_dimensions(narrower)
        if any(one.left_out for one in narrower):
            print(DIMENSION_NOTE)
    if not allow_mismatch:
        _print_left_out(group)


def _print_heading(one: Comparison) -> None:
    """Print which sides are compared, and everything that differs or is unknown."""
    ours, theirs = one.ours, one.theirs
    called = f" ({theirs.model_label})" if theirs.model_label else ""
    print(f"\n{ours.label} @ {ours.revision or 'no revision'}: {ours.source} against {theirs.source}{called}")
    if not one.replication:
        print(write_difference.heading(one))
    _print_differences(one.differences)
    for source, unknown in unknown_facts(ours, theirs).items():
        print(f"unknown for {source}: {', '.join(unknown)}")
    for source, tasks in one.unmatched.items():
        if tasks:
            print(f"only in {source}: {first_few(tasks, 2)}")


def _print_left_out(group: list[Comparison]) -> None:
    """Print why tasks are not compared, and at which dimensions; the tasks are named unless it is all of them."""
    dims: dict[tuple[str, str], list[str]] = {}
    for one in group:
        by_reason: dict[str, list[str]] = {}
        for task, facts in one.left_out.items():
            by_reason.setdefault(", ".join(facts), []).append(task)
        for reason, tasks in by_reason.items():
            named = f" ({', '.join(tasks)})" if len(tasks) < len(one.rows) else ""
            dims.setdefault((reason, named), []).append(str(one.ours.dim or ""))
    for (reason, named), at in dims.items():
        which = f" at dim {', '.join(at)}" if any(at) else ""
        print(f"not compared{which}: {reason}{named}")


def _print_differences(found: list[Difference]) -> None:
    rows = [[d.fact, _cell(d.ours), _cell(d.theirs), first_few(d.tasks, 2) or "all", d.meaning] for d in found]
    headers = ["differs", "ours", "theirs", "tasks", "meaning"]
    print(tabulate(rows, headers, disable_numparse=True) if rows else "no known fact differs")


def _cell(value: str) -> str:
    """A value for the table: long ones shortened in the middle, control characters and outer white space visible."""
    text = repr(value)[1:-1] if value == value.strip() else repr(value)
    return text if len(text) <= 56 else f"{text[:32]}...{text[-20:]}"
