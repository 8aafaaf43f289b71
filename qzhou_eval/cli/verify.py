"""``verify``: checks that it is the same model, sent the same input."""

import argparse

from qzhou_eval.cli.flags import add_offline, file_to_write, path_or_name, profile_flag, text
from qzhou_eval.system.mteb_version import switch_environment


def add(verbs) -> None:
    """Add the command to the parser."""
    verb = verbs.add_parser(
        "verify",
        help="check that it is the same model, sent the same input",
        description="Report parameters, tensors, prompts, token ids and embeddings of a fixed probe, and compare them.",
    )
    verb.add_argument("--model_name_or_path", type=path_or_name, required=True, metavar="M", help="folder or hub name")
    verb.add_argument("--revision", type=text, help="branch, tag or commit on the hub")
    profile_flag(verb)
    verb.add_argument(
        "--against",
        type=path_or_name,
        metavar="OTHER",
        help="compare with remote (runs the checkpoint's own code, in another process), sentence-transformers (the "
        "same without that code), or a file that --save wrote; without it, our side is only reported",
    )
    verb.add_argument("--save", type=file_to_write, metavar="FILE", help="write our side, for --against elsewhere")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_offline(verb)
    verb.set_defaults(command=_verify)


def _verify(args: argparse.Namespace) -> int:
    switch_environment("current", args.argv)  # the other side needs the current sentence-transformers
    from qzhou_eval.checks.verify.verify import verify

    return verify(
        args.model_name_or_path,
        revision=args.revision,
        profile=args.profile,
        against=args.against,
        save=args.save,
        device=args.device,
    )
