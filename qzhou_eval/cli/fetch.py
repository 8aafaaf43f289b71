"""``fetch``: downloads data sets and a model from the hub or a mirror, or checks that they are still as downloaded."""

import argparse
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qzhou_eval.cli.flags import add_benchmark, folder_to_fill, text
from qzhou_eval.errors import EXIT_CHECK_FAILED, EXIT_FAILED_TASKS, BadInput
from qzhou_eval.system.mteb_version import switch_environment

if TYPE_CHECKING:
    from qzhou_eval.benchmark.task import Task

log = logging.getLogger(__name__)

# Data formats. Anything else in a data set's repository (code, pickles, archives) is not downloaded.
_TEXT = ("json", "jsonl", "csv", "tsv", "txt")
DATA_FILES = tuple(f"*.{kind}" for kind in ("parquet", "arrow", "md", *_TEXT, *(f"{kind}.gz" for kind in _TEXT)))


def add(verbs) -> None:
    """Add the command to the parser."""
    about = (
        "Download data sets at their pinned revisions, in the layout that --data_dir reads, or a model, or both. "
        "Without --model, --tasks or --benchmark: all data sets of CMTEB."
    )
    verb = verbs.add_parser("fetch", help="download data sets and a model from the hub or a mirror", description=about)
    add_benchmark(verb, "of tasks of mteb: all its data sets, even with --model (default: cmteb)")
    verb.add_argument("--to", type=folder_to_fill, required=True, metavar="DIR", help="folder to download to")
    verb.add_argument("--tasks", nargs="*", metavar="TASK", help="only these tasks' data sets; without a name, none")
    verb.add_argument(
        "--mteb",
        choices=("current", "card"),
        default="current",
        help="data sets of mteb 2.26.24, or those of the published run: of 14 tasks another upload (default: current)",
    )
    verb.add_argument("--model", type=text, metavar="ORG/NAME", help="download a model to DIR/models/ORG/NAME")
    verb.add_argument("--revision", type=text, help="the model's branch, tag or commit (default: main)")
    verb.add_argument(
        "--code",
        action="store_true",
        help="with --model: also its own code (*.py), for --trust_remote_code and verify --against remote; "
        "fetch does not run it",
    )
    verb.add_argument(
        "--pickle",
        action="store_true",
        help="with --model: also weights in the form of pickles (pytorch_model*.bin), for --allow_pickle; "
        "fetch does not open them",
    )
    verb.add_argument(
        "--verify", action="store_true", help="download nothing; check that the files are still as downloaded"
    )
    verb.add_argument("--quiet", action="store_true", help="print only warnings and failures")
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
            raise BadInput(f"fetch needs the network, but {variable} is set; unset it")
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # mirrors do not offer that protocol; every file is hashed anyway
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
    """The fields of each repository to fetch, the model first, so that a wrong name fails at once.

    Raises:
        BadInput: an unknown task, a task of own files, an invalid name, or nothing to fetch.
    """
    from qzhou_eval.benchmark.data_sources import repositories
    from qzhou_eval.fetch.receipt import CODE, PICKLES, read_fetched
    from qzhou_eval.model.folder.location import FETCH_FLAGS, WANTED

    wanted = []
    asked = {CODE: args.code, PICKLES: args.pickle}
    if args.model is not None:
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", args.model):
            raise BadInput(f"--model {args.model}: not of the form ORG/NAME, as on the hub")
        place = f"models/{args.model}"
        before = read_fetched(args.to).get(place)
        also = [kind for kind in asked if asked[kind] or (before and before.has(kind))]  # what is there stays
        kinds = [*WANTED, *also]
        wanted.append(("model", args.model, args.revision or "main", place, tuple(kinds)))
    elif args.revision is not None:
        raise BadInput(f"--revision {args.revision}: only for --model; data sets have the benchmark's revisions")
    elif unused := [FETCH_FLAGS[kind] for kind in asked if asked[kind]]:
        raise BadInput(f"{unused[0]}: only for --model; give --model ORG/NAME")
    elif args.tasks == []:
        raise BadInput("nothing to fetch: --tasks has no name, and --model is missing")
    if args.tasks or (args.tasks is None and (args.model is None or args.benchmark)):
        for task in _tasks(args):
            if task.own is not None:
                raise BadInput(f"{task.name}: its files are on this machine; nothing to fetch")
            for path, commit in repositories(task, card=args.mteb == "card"):
                wanted.append(("dataset", path, commit, path, DATA_FILES))
    return wanted


def _tasks(args: argparse.Namespace) -> "list[Task]":
    """The tasks whose data are to be fetched: of the benchmark or, named without one, of CMTEB or of mteb."""
    from qzhou_eval.benchmark.find import find_benchmark

    benchmark = find_benchmark(args.benchmark, args.tasks)
    others = [name for name in args.tasks or [] if name not in benchmark.by_name]
    if args.benchmark or not others:
        return benchmark.select(args.tasks, None)
    from qzhou_eval.benchmark.of_mteb import task_of_mteb  # mteb takes seconds to import

    named = [name for name in args.tasks if name not in others]
    found = benchmark.select(named, None) if named else []
    return found + [task_of_mteb(name, (), (), where="--tasks") for name in others]


def _say_whether_code_came(root: Path, model: str, *, asked: bool) -> None:
    """Warn if the model names classes whose code was not downloaded."""
    from qzhou_eval.fetch.receipt import CODE, read_fetched
    from qzhou_eval.model.folder.remote_code import named_code

    place = f"models/{model}"
    try:
        names = [] if read_fetched(root)[place].has(CODE) else named_code(root / place)
    except BadInput as error:  # all files are as listed: the repository itself is broken
        log.warning("%s: %s", model, error)
        return
    if names:
        why = "the repository has none" if asked else "download it with --code; it runs only with a flag that allows it"
        log.warning("%s: names code of its own (%s), which was not downloaded: %s", model, ", ".join(names), why)


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
            "%d files are not as downloaded; repeat without --verify to download what is missing or changed", len(lines)
        )
        return EXIT_CHECK_FAILED
    count = sum(len(entry.files) for entry in entries.values())
    print(f"all right: {count} files of {len(entries)} repositories")
    return 0
