"""``models``: lists the models whose protocol is shipped."""

import argparse


def add(verbs) -> None:
    """Add the command to the parser."""
    about = "List the models whose protocol is shipped: architecture, prompts, published mean, what is not verified."
    verb = verbs.add_parser("models", help="list the models whose protocol is shipped", description=about)
    verb.set_defaults(command=_models)


def _models(_args: argparse.Namespace) -> int:
    from qzhou_eval.run.list_models import print_models

    print_models()
    return 0
