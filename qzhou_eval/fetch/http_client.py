"""The hub's HTTP client with all retries in one place: a failed request is retried here, with tenacity.

Only what huggingface_hub alone can do is left to it: resuming a transfer that broke in the middle.
"""

import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils import disable_progress_bars, parse_ratelimit_headers
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

log = logging.getLogger(__name__)
T = TypeVar("T")

_TRIES, _TRIES_UNREACHABLE = 6, 3
_LONGEST_WAIT = 900  # seconds; if a server asks for more, the next endpoint is tried
_SILENCE = 30  # seconds without a byte; huggingface_hub sets no limit for listings
_LATER = (408, 429, 500, 502, 503, 504)
_growing = wait_exponential(multiplier=0.5, max=30)


class Unavailable(Exception):
    """A request failed but may succeed later; ``wait`` is how many seconds the server asked for, if it did."""

    def __init__(self, reason: str, *, reached: bool, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reached = reached
        self.wait = wait


class _Client(httpx2.Client):
    def send(self, request: httpx2.Request, **how) -> httpx2.Response:
        resuming = "range" in request.headers  # then huggingface_hub keeps what was transferred and retries
        if not any(request.extensions.get("timeout", {}).values()):
            request.extensions["timeout"] = httpx2.Timeout(_SILENCE).as_dict()
        try:
            response = super().send(request, **how)
        except httpx2.TransportError as error:
            if resuming:
                raise
            raise _unreachable(error) from error
        if response.status_code in _LATER and not (resuming and response.status_code in (408, 429)):
            response.close()
            raise Unavailable(f"HTTP {response.status_code}", reached=True, wait=_asked_to_wait(response.headers))
        return response


def _unreachable(error: httpx2.TransportError) -> Unavailable:
    return Unavailable(f"cannot be reached ({error or type(error).__name__})", reached=False)


def _asked_to_wait(headers: Mapping[str, str]) -> float | None:
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    asked = headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


def use_patient_client() -> None:
    """Make huggingface_hub use this client, and turn off its own progress bars and warnings."""
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    set_client_factory(lambda: _Client(follow_redirects=True))


def patiently(call: Callable[[], T]) -> T:
    """Retry a call until it succeeds, fails permanently, or was tried often enough.

    Raises:
        Unavailable: all tries failed, or the server asks for too long a wait.
    """

    def once() -> T:
        try:
            return call()
        except httpx2.TransportError as error:  # huggingface_hub failed to resume
            raise _unreachable(error) from error

    return Retrying(
        retry=retry_if_exception_type(Unavailable), wait=_wait, stop=_enough, before_sleep=_say, reraise=True
    )(once)


def _failure(state: RetryCallState) -> Unavailable:
    """What the last try failed with; no other error is retried."""
    error = state.outcome and state.outcome.exception()
    assert isinstance(error, Unavailable)
    return error


def _wait(state: RetryCallState) -> float:
    asked = _failure(state).wait
    return _growing(state) if asked is None else asked


def _enough(state: RetryCallState) -> bool:
    error = _failure(state)
    tries = _TRIES if error.reached else _TRIES_UNREACHABLE
    return state.attempt_number >= tries or (error.wait or 0) > _LONGEST_WAIT


def _say(state: RetryCallState) -> None:
    error = _failure(state)
    if error.wait is not None:
        log.info("%s: waiting %.0f s, as the server asks", error, error.wait)
