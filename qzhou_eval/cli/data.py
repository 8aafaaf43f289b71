"""``data check`` and ``data init``: a benchmark of your own files."""

import argparse
import logging

from qzhou_eval.cli.flags import boolean, folder_to_fill, path_or_name, profile_flag

log = logging.getLogger(__name__)


def add(verbs) -> None:
    """Add the two commands to the parser."""
    data = verbs.add_parser("data", help="check your own data, or write an example of it")
    of_data = data.add_subparsers(metavar="check|init", required=True)
    check = of_data.add_parser("check", help="read all files; say what would be evaluated and what is wrong")
    check.add_argument("benchmark", type=path_or_name, metavar="FILE", help="the benchmark's YAML file")
    check.add_argument("--model_name_or_path", type=path_or_name, metavar="M", help="count tokens as for this model")
    profile_flag(check)
    check.add_argument(
        "--use_instruction", type=boolean, default=True, metavar="BOOL", help="send the instruction (default: true)"
    )
    check.set_defaults(command=_check)
    init = of_data.add_parser("init", help="write a filled example of each type of task")
    init.add_argument("folder", type=folder_to_fill, metavar="FOLDER", help="a new folder")
    init.set_defaults(command=_init)


def _check(args: argparse.Namespace) -> int:
    from qzhou_eval.benchmark.find import find_benchmark
    from qzhou_eval.run.check_data import Limit, print_check

    benchmark = find_benchmark(args.benchmark)
    how = {"use_instruction": args.use_instruction}
    limit = Limit(args.model_name_or_path, args.profile, benchmark, **how) if args.model_name_or_path else None
    return print_check(benchmark, limit)


def _init(args: argparse.Namespace) -> int:
    from qzhou_eval.benchmark.own_data.example import write_example

    file = write_example(args.folder)
    print(f"written: {file}, and the files that it names\nnext: qzhou-eval data check {file}")
    return 0
