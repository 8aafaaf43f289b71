"""``prompts show``: shows what is sent to the model."""

import argparse

from qzhou_eval.cli.flags import add_benchmark, boolean, path_or_name, profile_flag


def add(verbs) -> None:
    """Add the command to the parser."""
    prompts = verbs.add_parser("prompts", help="show what is sent to the model")
    shown = prompts.add_subparsers(metavar="show", required=True)
    show = shown.add_parser("show", help="a task's rendered prompts of both sides, and their token ids")
    show.add_argument("task", metavar="TASK", help="name of the task")
    show.add_argument("--text", default="今天天气很好。", help="the text to render (default: %(default)s)")
    add_benchmark(show, "(default: the packaged ones)")
    profile_flag(show)
    show.add_argument(
        "--model_name_or_path", type=path_or_name, help="model whose tokenizer gives the ids; without it, no ids"
    )
    show.add_argument(
        "--use_instruction", type=boolean, default=True, metavar="BOOL", help="send the instruction (default: true)"
    )
    show.set_defaults(command=_prompts_show)


def _prompts_show(args: argparse.Namespace) -> int:
    from qzhou_eval.run.show_prompts import show_prompts

    how = {"benchmark": args.benchmark, "use_instruction": args.use_instruction}
    show_prompts(args.task, args.text, args.profile, args.model_name_or_path, **how)
    return 0
