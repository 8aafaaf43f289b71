"""``report``: makes tables from results."""

import argparse

from qzhou_eval.cli.flags import add_benchmark, add_score_profile, path


def add(verbs) -> None:
    """Add the command to the parser."""
    about = "Print tables, and write them and more to DIR/report as Markdown, CSV, LaTeX and one HTML page."
    verb = verbs.add_parser("report", help="make tables, figures and findings from results", description=about)
    verb.add_argument(
        "dirs", nargs="+", type=path, metavar="DIR", help="output folders of earlier runs, or results of plain mteb"
    )
    verb.add_argument("--lang", choices=("en", "zh"), default="en", help="of the report (default: %(default)s)")
    add_benchmark(verb, "(default: all that the results are of)")
    add_score_profile(verb)
    verb.set_defaults(command=_report)


def _report(args: argparse.Namespace) -> int:
    from qzhou_eval.benchmark.find import find_benchmark
    from qzhou_eval.report.write import report

    benchmark = find_benchmark(args.benchmark) if args.benchmark else None
    report(args.dirs, args.score_profile, args.lang, benchmark=benchmark)
    return 0
