"""``export``: writes results in the format that mteb's ``submit-results`` and the results repository accept."""

import argparse

from qzhou_eval.cli.flags import folder_to_fill, path, text


def add(verbs) -> None:
    """Add the command to the parser."""
    about = "Write results in the format that mteb's submit-results and the results repository accept."
    verb = verbs.add_parser("export", help="write results in the results repository's format", description=about)
    verb.add_argument("results", type=path, metavar="RESULTS", help="output folder of a run")
    verb.add_argument("--to", type=folder_to_fill, required=True, metavar="DIR", help="folder to write to")
    verb.add_argument("--model_name", type=text, metavar="ORG/NAME", help="of a model that was run from a folder")
    verb.add_argument("--model_revision", type=text, metavar="COMMIT", help="of a model that was run from a folder")
    verb.add_argument("--mteb", choices=("current", "card"), default="current", help="which results (default: current)")
    verb.set_defaults(command=_export)


def _export(args: argparse.Namespace) -> int:
    from qzhou_eval.results.export import export
    from qzhou_eval.system.files import check_writable

    check_writable("--to", args.to)
    written = export(args.results, args.to, args.model_name, args.model_revision, args.mteb)
    print(f"{len(written)} results written below {args.to / 'results'}")
    return 0
