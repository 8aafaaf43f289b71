"""``compare``: compares results with published scores or another run."""

import argparse

from qzhou_eval.cli.flags import add_score_profile, path, path_or_name


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
    add_score_profile(verb)
    verb.set_defaults(command=_compare)


def _compare(args: argparse.Namespace) -> int:
    from qzhou_eval.checks.compare.compare import compare

    return compare(args.results, args.to, args.score_profile, allow_mismatch=args.allow_mismatch)
