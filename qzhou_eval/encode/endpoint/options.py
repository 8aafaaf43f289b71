"""Options of an endpoint as given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEY_VARIABLE = "QZHOU_EVAL_API_KEY"


@dataclass(frozen=True)
class EndpointOptions:
    """An endpoint; field names are the flags' names.

    ``endpoint`` is a URL that ends in ``/v1``. ``request_fields`` are sent with every request. ``api_key_env`` is the
    environment variable that holds the key, None for QZHOU_EVAL_API_KEY. ``tokenizer`` is a folder by whose tokenizer
    the limit is applied here.
    """

    endpoint: str
    endpoint_model: str | None = None
    endpoint_requests: int = 8
    request_fields: Mapping[str, object] = field(default_factory=dict)
    api_key_env: str | None = None
    tokenizer: Path | None = None
    price_per_million_tokens: float | None = None
