"""Network access, set through environment variables: none (``--offline``), or the endpoints in HF_ENDPOINT.

The libraries read the variables when they are imported, and worker processes inherit them.
"""

import os
import re

from qzhou_eval.errors import BadInput

HUB = "https://huggingface.co"
_FLAG = "QZHOU_EVAL_OFFLINE"
# huggingface_hub, and transformers through it, read the first (or the third); datasets the second, then the first.
_READ_BY_LIBRARIES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def go_offline() -> None:
    """Turn the network off for every library, here and in processes started later."""
    for variable in (_FLAG, *_READ_BY_LIBRARIES):
        os.environ[variable] = "1"


def is_offline() -> bool:
    """Whether :func:`go_offline` was called, here or in the process that started this one."""
    return os.environ.get(_FLAG) == "1"


def endpoints() -> list[str]:
    """The endpoints to try, in order: those in HF_ENDPOINT (one, or several separated by commas), then the hub itself.

    Raises:
        BadInput: one of them is not a URL.
    """
    named = _named()
    for one in named:
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", one):
            raise BadInput(f"HF_ENDPOINT {one}: not a URL; give https://HOST, or several separated by commas")
    return list(dict.fromkeys([*named, HUB]))


def keep_one_endpoint() -> None:
    """Reduce HF_ENDPOINT to what the libraries can read: its first URL, or unset it."""
    named = _named()
    if named:
        os.environ["HF_ENDPOINT"] = named[0]
    else:
        os.environ.pop("HF_ENDPOINT", None)


def _named() -> list[str]:
    given = os.environ.get("HF_ENDPOINT", "").split(",")
    return [one.strip().rstrip("/") for one in given if one.strip()]
