"""``check``: compares a run with a stored baseline, as a gate for CI."""

import argparse
from pathlib import Path

from qzhou_eval.cli.flags import add_score_profile, file_to_write, number, path
from qzhou_eval.errors import BadInput

MIN_COSINE = 0.99999


def add(verbs) -> None:
    """Add the command to the parser."""
    about = "Compare a run with a stored baseline: OK, DRIFT or FAIL. Exit code 1 for FAIL, 2 if not comparable."
    verb = verbs.add_parser("check", help="compare a run with a stored baseline, for CI", description=about)
    verb.add_argument("results", nargs="+", type=path, metavar="RESULTS", help="output folder of a run")
    verb.add_argument("--baseline", type=file_to_write, required=True, metavar="FILE", help="the stored baseline")
    verb.add_argument(
        "--tolerance",
        action="append",
        default=[],
        type=_tolerance,
        metavar="[TASK=]POINTS",
        help="tolerance instead of the baseline's, for all tasks or for one; may be repeated",
    )
    verb.add_argument(
        "--min_cosine",
        type=number(-1, 1),
        default=MIN_COSINE,
        metavar="C",
        help="FAIL if a cosine of the probe's vectors to the baseline's is lower; -1 allows any (default: %(default)s)",
    )
    verb.add_argument("--strict", action="store_true", help="exit code 1 for DRIFT, too")
    verb.add_argument("--junit", type=file_to_write, metavar="FILE", help="write the verdicts as JUnit XML")
    verb.add_argument("--summary", type=file_to_write, metavar="FILE", help="write the verdicts as Markdown")
    verb.add_argument(
        "--update-baseline",
        action="store_true",
        help="write FILE from RESULTS; several folders (of repeated runs) measure how much runs differ by chance",
    )
    add_score_profile(verb)
    verb.set_defaults(command=_check)


def _tolerance(value: str) -> tuple[str | None, float]:
    task, named, points = value.rpartition("=")
    try:
        tolerance = number(0, 100)(points)
    except argparse.ArgumentTypeError:
        tolerance = None
    if tolerance is None or (named and not task):
        raise argparse.ArgumentTypeError(f"{value!r}: give points such as 0.5, or STSB=0.5")
    return task or None, tolerance


def _check(args: argparse.Namespace) -> int:
    _refuse_contradictions(args)
    from qzhou_eval.checks.regression.check import Outputs, check, renew

    shared = {"score_profile": args.score_profile, "tolerances": dict(args.tolerance)}
    if args.update_baseline:
        renew(args.results, args.baseline, **shared)
        return 0
    return check(
        args.results[0],
        args.baseline,
        min_cosine=args.min_cosine,
        strict=args.strict,
        outputs=Outputs(args.junit, args.summary),
        **shared,
    )


def _refuse_contradictions(args: argparse.Namespace) -> None:
    """Refuse flags that cannot work together, before anything is read or written."""
    written = {"--junit": args.junit, "--summary": args.summary}
    if args.update_baseline:
        checks = [flag for flag, file in written.items() if file] + ["--strict"] * args.strict
        if checks:
            raise BadInput(f"{checks[0]}: --update-baseline checks nothing; leave out one of the two")
        written = {"--baseline": args.baseline}
    elif len(args.results) > 1:
        raise BadInput(f"{args.results[1]}: only one folder can be checked at a time; several need --update-baseline")
    _check_files({flag: file for flag, file in written.items() if file}, args.baseline)


def _check_files(written: dict[str, Path], baseline: Path) -> None:
    from qzhou_eval.system.files import check_writable

    taken = [] if "--baseline" in written else [baseline.resolve()]
    for flag, file in written.items():
        check_writable(flag, file.parent)
        if file.resolve() in taken:
            raise BadInput(f"{flag} {file}: this file is already used by another flag; give another")
        taken.append(file.resolve())
