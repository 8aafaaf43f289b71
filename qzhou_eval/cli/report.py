"""``report``: tables from results."""

import argparse
from pathlib import Path

from qzhou_eval.cli.flags import add_score_profile


def add(verbs) -> None:
    """Add the command to the parser."""
    verb = verbs.add_parser("report", help="tables from results", description="Tables from results.")
    verb.add_argument("dirs", nargs="+", type=Path, metavar="DIR", help="output folders of earlier runs")
    add_score_profile(verb)
    verb.set_defaults(command=_report)


def _report(args: argparse.Namespace) -> int:
    from qzhou_eval.report.write import report

    report(args.dirs, args.score_profile)
    return 0
