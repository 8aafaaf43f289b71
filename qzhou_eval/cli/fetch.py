"""``fetch``: data sets and a model from the hub or a mirror into a folder, and whether they still are as downloaded."""

import argparse
import logging
import os
import re
from pathlib import Path

from qzhou_eval.cli.flags import folder_to_fill, text
from qzhou_eval.errors import EXIT_CHECK_FAILED, EXIT_FAILED_TASKS, BadInput
from qzhou_eval.system.mteb_version import switch_environment

log = logging.getLogger(__name__)

# What holds data; whatever else a data set's repository holds (code, pickles, archives) stays there.
_TEXT = ("json", "jsonl", "csv", "tsv", "txt")
DATA_FILES = tuple(f"*.{kind}" for kind in ("parquet", "arrow", "md", *_TEXT, *(f"{kind}.gz" for kind in _TEXT)))


def add(verbs) -> None:
    """Add the command to the parser."""
    about = (
        "Bring data sets, at their pinned revisions, into the layout that --data_dir reads, or a model, or both; "
        "without --model, --tasks or --benchmark the data sets of CMTEB."
    )
    verb = verbs.add_parser("fetch", help="data sets and a model, from the hub or a mirror", description=about)
    verb.add_argument("--benchmark", choices=("cmteb",), help="all its data sets, with --model too")
    verb.add_argument("--to", type=folder_to_fill, required=True, metavar="DIR", help="what --data_dir will name")
    verb.add_argument("--tasks", nargs="*", metavar="TASK", help="these tasks' data sets alone; without a name none")
    verb.add_argument("--model", type=text, metavar="ORG/NAME", help="a checkpoint, into DIR/models/ORG/NAME")
    verb.add_argument("--revision", type=text, help="the model's branch, tag or commit (default: main)")
    verb.add_argument(
        "--code",
        action="store_true",
        help="with the model its own code (*.py), for --trust_remote_code and verify --against remote; "
        "fetch runs none of it",
    )
    verb.add_argument(
        "--verify", action="store_true", help="fetch nothing; compare what is there with what was downloaded"
    )
    verb.add_argument("--quiet", action="store_true", help="only warnings and what failed")
    verb.set_defaults(command=_fetch, keeps_endpoints=True)


def _fetch(args: argparse.Namespace) -> int:
    switch_environment("current", args.argv)
    wanted = _repositories(args)
    if args.verify:
        return _verify(args, [place for _, _, _, place, _ in wanted])
    from qzhou_eval.system.files import check_writable
    from qzhou_eval.system.network import endpoints, keep_one_endpoint

    check_writable("--to", args.to)
    chain = endpoints()
    keep_one_endpoint()
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise BadInput(f"fetch needs the network, and {variable} is set")
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # mirrors pass files on, not that protocol; every file is hashed anyway
    from qzhou_eval.fetch.download import fetch
    from qzhou_eval.fetch.endpoint import Repository
    from qzhou_eval.fetch.http_client import use_patient_client

    use_patient_client()
    failed = fetch([Repository(*one) for one in wanted], args.to, chain)
    if args.model is not None and args.model not in failed:
        _say_whether_code_came(args.to, args.model, asked=args.code)
    for name, reason in failed.items():
        print(f"{name}: not fetched: {reason}")
    return EXIT_FAILED_TASKS if failed else 0


def _repositories(args: argparse.Namespace) -> list[tuple]:
    """The fields of each repository to fetch, the model first: a wrong name is seen at once.

    Raises:
        BadInput: an unknown task or one of the package's, a name that is none, or nothing to fetch.
    """
    from qzhou_eval.benchmark.registry import select
    from qzhou_eval.fetch.receipt import CODE, read_fetched
    from qzhou_eval.model.folder.location import WANTED

    wanted = []
    if args.model is not None:
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", args.model):
            raise BadInput(f"--model {args.model}: not an ORG/NAME on the hub")
        place = f"models/{args.model}"
        before = read_fetched(args.to).get(place)
        kinds = [*WANTED, CODE] if args.code or (before and before.has_code) else WANTED  # code that came stays
        wanted.append(("model", args.model, args.revision or "main", place, tuple(kinds)))
    elif args.revision is not None:
        raise BadInput(f"--revision {args.revision}: a model's; data sets have the benchmark's revisions")
    elif args.code:
        raise BadInput("--code: a model's; give --model ORG/NAME")
    elif args.tasks == []:
        raise BadInput("nothing to fetch: --tasks names none, and there is no --model")
    if args.tasks or (args.tasks is None and (args.model is None or args.benchmark)):
        for task in select(args.tasks, None):
            if task.benchmark != "cmteb":
                raise BadInput(f"--tasks {task.name}: comes with the package, there is nothing to fetch")
            wanted.append(("dataset", task.path, task.revision, task.path, DATA_FILES))
    return wanted


def _say_whether_code_came(root: Path, model: str, *, asked: bool) -> None:
    """Warn of classes that the model names and whose code is not there."""
    from qzhou_eval.fetch.receipt import read_fetched
    from qzhou_eval.model.folder.remote_code import named_code

    place = f"models/{model}"
    try:
        names = [] if read_fetched(root)[place].has_code else named_code(root / place)
    except BadInput as error:  # all is as listed: the repository itself is broken
        log.warning("%s: %s", model, error)
        return
    if names:
        why = "the repository has none" if asked else "bring it too with --code; it runs only where a flag says so"
        log.warning("%s: names code of its own (%s), which was not brought: %s", model, ", ".join(names), why)


def _verify(args: argparse.Namespace, asked: list[str]) -> int:
    from qzhou_eval.fetch.receipt import MANIFEST, changed_files, read_fetched

    entries = read_fetched(args.to)
    if not entries:
        raise BadInput(f"{args.to}: nothing was fetched there (no {MANIFEST})")
    if args.tasks is None and args.model is None:
        asked = list(entries)
    lines = [f"{place}: not fetched" for place in asked if place not in entries]
    entries = {place: entries[place] for place in asked if place in entries}
    for place, entry in entries.items():
        lines += changed_files(args.to, place, entry)
    if lines:
        print("\n".join(lines))
        log.warning(
            "%d files are not as fetched; without --verify what is missing or changed is brought again", len(lines)
        )
        return EXIT_CHECK_FAILED
    count = sum(len(entry.files) for entry in entries.values())
    print(f"all right: {count} files of {len(entries)} repositories")
    return 0
