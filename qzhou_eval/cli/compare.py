"""``compare``: compares results with published scores or another run."""

import argparse

from qzhou_eval.cli.flags import add_benchmark, add_score_profile, path, path_or_name


def add(verbs) -> None:
    """Add the command to the parser."""
    about = "Show what differs between two runs, then their scores side by side: OK, CLOSE or OFF."
    verb = verbs.add_parser("compare", help="compare results with published scores or another run", description=about)
    verb.add_argument("results", type=path, metavar="RESULTS", help="output folder of a run, or results of plain mteb")
    verb.add_argument(
        "--to",
        type=path_or_name,
        default="published",
        metavar="published[:MODEL]|DIR|FILE",
        help="compare with published scores (of this model, or of MODEL), another output folder, results of plain mteb "
        "(folder or file), or a file in the format of results/published/published_scores.json (default: %(default)s)",
    )
    verb.add_argument("--allow-mismatch", action="store_true", help="compare even what is not comparable, and mark it")
    add_benchmark(verb, "(default: all that the results are of)")
    add_score_profile(verb)
    verb.set_defaults(command=_compare)


def _compare(args: argparse.Namespace) -> int:
    from qzhou_eval.benchmark.find import find_benchmark
    from qzhou_eval.checks.compare.compare import compare

    benchmark = find_benchmark(args.benchmark) if args.benchmark else None
    return compare(args.results, args.to, args.score_profile, benchmark=benchmark, allow_mismatch=args.allow_mismatch)
