"""``verify``: checks that it is the same model, sent the same input."""

import argparse
from dataclasses import replace

from qzhou_eval.cli.endpoint_flags import add_endpoint_flags, endpoint_at, served
from qzhou_eval.cli.flags import add_offline, file_to_write, path_or_name, profile_flag, text
from qzhou_eval.errors import BadInput
from qzhou_eval.system.mteb_version import switch_environment


def add(verbs) -> None:
    """Add the command to the parser."""
    verb = verbs.add_parser(
        "verify",
        help="check that it is the same model, sent the same input",
        description="Report parameters, tensors, prompts, token ids and embeddings of a fixed probe, and compare them.",
    )
    verb.add_argument("--model_name_or_path", type=path_or_name, metavar="M", help="folder or hub name")
    verb.add_argument("--revision", type=text, help="branch, tag or commit on the hub")
    profile_flag(verb)
    verb.add_argument(
        "--against",
        type=path_or_name,
        metavar="OTHER",
        help="compare with remote (runs the checkpoint's own code, in another process), sentence-transformers (the "
        "same without that code), a server's URL, or a file that --save wrote; without it, our side is only reported",
    )
    verb.add_argument(
        "--against_model", type=text, metavar="NAME", help="the model's name there, if it is not --endpoint_model"
    )
    add_endpoint_flags(verb)
    verb.add_argument("--save", type=file_to_write, metavar="FILE", help="write our side, for --against elsewhere")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_offline(verb)
    verb.set_defaults(command=_verify)


def _verify(args: argparse.Namespace) -> int:
    switch_environment("current", args.argv)  # the other side needs the current sentence-transformers
    url = args.against if args.against and args.against.startswith(("http://", "https://")) else None
    if args.endpoint is not None or url is not None:
        return _verify_served(args, url)
    if args.model_name_or_path is None:
        raise BadInput("give --model_name_or_path M, or --endpoint URL with --against URL")
    served(args)  # refuses flags that only an endpoint has
    from qzhou_eval.checks.verify.verify import verify

    return verify(
        args.model_name_or_path,
        revision=args.revision,
        profile=args.profile,
        against=args.against,
        save=args.save,
        device=args.device,
    )


def _verify_served(args: argparse.Namespace, url: str | None) -> int:
    """Compare a model, or a server, with a server."""
    from qzhou_eval.checks.verify.served import verify_served, verify_two

    if url is None and args.against is not None:
        raise BadInput(f"--against {args.against}: not a URL; for a model, give --model_name_or_path M --against URL")
    if url is None:
        raise BadInput("--endpoint: compared with what? give --against URL")
    if args.save is not None:
        raise BadInput("--save: writes our side for another machine; drop it with a server")
    both = args.endpoint is not None
    if not both and args.model_name_or_path is None:
        raise BadInput("give --model_name_or_path M, or --endpoint URL with --against URL")
    if both and args.model_name_or_path is not None:
        raise BadInput("--model_name_or_path and --endpoint: give one, and --against URL")
    other = replace(endpoint_at(args, url), endpoint_model=args.against_model or args.endpoint_model)
    if both:
        return verify_two(endpoint_at(args, args.endpoint), other, profile=args.profile)
    return verify_served(
        args.model_name_or_path, other, revision=args.revision, profile=args.profile, device=args.device
    )
