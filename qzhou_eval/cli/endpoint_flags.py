"""Flags that say which server is asked, and how."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, fields

from qzhou_eval.cli.flags import existing_folder, number, text, whole
from qzhou_eval.encode.endpoint.options import KEY_VARIABLE, EndpointOptions
from qzhou_eval.errors import BadInput

OWN_FIELDS = ("model", "input", "encoding_format", "dimensions")


def add_endpoint_flags(parser: argparse.ArgumentParser, *, plans: bool = False) -> None:
    """Add them as a group; ``plans``: those of a plan, too."""
    group = parser.add_argument_group("a server that gives the vectors")
    group.add_argument(
        "--endpoint", type=text, metavar="URL", help="base URL of an OpenAI-compatible API, such as http://HOST:8000/v1"
    )
    group.add_argument(
        "--endpoint_model", type=text, metavar="NAME", help="the model's name there (default: the only one it lists)"
    )
    group.add_argument(
        "--endpoint_requests",
        type=whole(1, 1024),
        metavar="N",
        default=EndpointOptions.endpoint_requests,
        help="requests at a time (default: %(default)s)",
    )
    group.add_argument(
        "--request_fields", type=json_object, metavar="JSON", default={}, help="fields to send with each request"
    )
    group.add_argument(
        "--api_key_env",
        type=text,
        metavar="NAME",
        help=f"environment variable that holds the key (default: {KEY_VARIABLE}); it is never written",
    )
    group.add_argument(
        "--tokenizer",
        type=existing_folder,
        metavar="FOLDER",
        help="folder with the model's tokenizer.json: texts are cut here, and tokens counted exactly",
    )
    if plans:
        group.add_argument("--price_per_million_tokens", type=number(0, 1e6), metavar="P", help="for the plan's price")
    else:
        parser.set_defaults(price_per_million_tokens=None)


def served(args: argparse.Namespace) -> EndpointOptions | None:
    """The endpoint that the flags name, or None.

    Raises:
        BadInput: flags of an endpoint without one.
    """
    if args.endpoint is not None:
        return endpoint_at(args, args.endpoint)
    unset = asdict(EndpointOptions(""))
    for name, value in _given(args).items():
        if name != "endpoint" and value != unset[name]:
            raise BadInput(f"--{name}: only with --endpoint URL")
    return None


def endpoint_at(args: argparse.Namespace, url: str) -> EndpointOptions:
    """The endpoint at ``url``, with the flags that say how it is asked."""
    return EndpointOptions(**_given(args) | {"endpoint": url})


def _given(args: argparse.Namespace) -> dict:
    return {field.name: getattr(args, field.name) for field in fields(EndpointOptions)}


def json_object(value: str) -> Mapping[str, object]:
    """A JSON object with fields that are not this project's own to set."""
    try:
        found = json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f'{value!r}: give a JSON object such as {{"input_type": "query"}}')
    if "dimensions" in found:
        raise argparse.ArgumentTypeError("dimensions: all dimensions are cut here from one pass; give --dim")
    for name in OWN_FIELDS:
        if name in found:
            raise argparse.ArgumentTypeError(f"{name}: is set by this command; drop it")
    return found
