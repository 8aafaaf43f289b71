"""One server: requests with their retries, and its errors in words. Does not know prompts or stores.

A request is repeated while the server is busy, still loading or gone, for up to ``PATIENCE`` seconds; a wait that the
server asks for (Retry-After) is kept. The key is in no message: servers may repeat it in theirs.
"""

import email.utils
import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, wait_random_exponential

from qzhou_eval.errors import BadInput, TaskFailed, in_one_line

log = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs every request

PATIENCE = 300.0  # seconds
TIMEOUT = httpx2.Timeout(60.0, connect=10.0, read=120.0)
LONGEST_WAIT = 20.0  # seconds between tries, unless the server asks for more
BROKEN_TRIES = 5  # of a request that the server answers with 500 each time
_SAY_EVERY = 60.0  # seconds
_BUSY = {408, 425, 429, *range(500, 600)} - {501, 505}  # those two say that it never works
_REJECTED = {400, 413, 422}


class EndpointError(TaskFailed):
    """The server does not give usable vectors for some prompts."""


class Rejected(EndpointError):
    """The server refuses this request, or does not answer it in time; one with fewer texts may do."""


class _NotThere(Exception):
    """404: no such path, or no such model."""


class _Busy(Exception):
    def __init__(self, message: str, status: int | None = None, after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.after = status, after


def check_url(url: str) -> str:
    """The base URL, without a slash at its end.

    Raises:
        BadInput: not one that ``/embeddings`` can follow.
    """
    example = "give the address that /embeddings follows, such as http://HOST:8000/v1"
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.port != 0  # reading the port checks it
    except ValueError:
        named = None
    if not named or parts.scheme not in ("http", "https") or not re.fullmatch(r"\S+", url):
        raise BadInput(f"{url}: not a URL; {example}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput(f"a URL with a name, a key or a query; {example}, and the key in the environment")
    if not re.search(r"/v[0-9]+$", parts.path.rstrip("/")):
        meant = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/embeddings')}"
        meant = meant if re.search(r"/v[0-9]+$", meant) else f"{meant}/v1"
        raise BadInput(f"{url}: does not end in a version; did you mean {meant}? ({example})")
    return url.rstrip("/")


class Client:
    """Sends JSON to a server; may be used by several threads.

    Raises:
        BadInput: not a usable URL.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = check_url(url)
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(headers=headers, timeout=TIMEOUT, follow_redirects=False, limits=httpx2.Limits())
        self._ended = threading.Event()
        self._said_at = -_SAY_EVERY
        if key and self.url.startswith("http:") and not _is_here(self.url):
            log.warning("%s: http, so the key can be read on its way; https would hide it", self.url)

    def close(self) -> None:
        """End all requests, also those in other threads, which then raise."""
        self._ended.set()
        self._http.close()

    def models(self) -> list[str]:
        """The names that the server lists; none if it does not list any.

        Raises:
            BadInput: it does not answer, or wants a key.
        """
        try:
            answer = self._send("GET", "/models", None, patient=False)
            return [str(one["id"]) for one in answer["data"]]
        except (_NotThere, EndpointError, KeyError, TypeError):
            return []

    def embeddings(self, body: Mapping[str, object], *, patient: bool = True) -> dict:
        """Ask for vectors, and again while the server is busy or away.

        Args:
            patient: whether to wait for a server that does not answer at all.

        Raises:
            Rejected: the server refuses the request, or does not answer it in time.
            EndpointError: it fails at it each time.
            BadInput: it refuses every request, or it does not answer.
        """
        try:
            return self._send("POST", "/embeddings", body, patient=patient)
        except _NotThere as error:
            names = self.models()
            raise BadInput(f"{error}{'; models there: ' if names else ''}{', '.join(names)}") from None

    def _send(self, method: str, path: str, body: Mapping[str, object] | None, *, patient: bool) -> dict:
        retrying = Retrying(
            retry=retry_if_exception_type((_Busy, httpx2.TransportError) if patient else _Busy),
            wait=_wait,
            stop=self._stop,
            sleep=sleep_using_event(self._ended),
            before_sleep=self._say,
            reraise=True,
        )
        try:
            answer = retrying(self._once, method, path, body)
        except _Busy as error:
            if error.status == 500:
                raise EndpointError(str(error)) from None
            raise self._gone(str(error)) from None
        except httpx2.TransportError as error:
            if not patient:
                what = "does it speak https?" if "SSL" in str(error) else "is it running?"
                raise BadInput(f"{self.url}: no answer ({in_one_line(error)}); {what}") from None
            raise self._gone(f"{self.url}: {in_one_line(error)}") from None
        return answer

    def _once(self, method: str, path: str, body: Mapping[str, object] | None) -> dict:
        try:
            return self._answer(self._http.request(method, f"{self.url}{path}", json=body))
        except httpx2.ReadTimeout:
            raise Rejected(f"{self.url}: no answer within {TIMEOUT.read:.0f} s") from None

    def _answer(self, response: httpx2.Response) -> dict:
        status = response.status_code
        if status == 200:
            return self._content(response)
        said = f"{self.url} answered {status}: {self._message(response)}"
        if status in _BUSY:
            after = _retry_after(response.headers.get("Retry-After"))
            raise _Busy(f"{said} (asks to wait {after:,.0f} s)" if after > PATIENCE else said, status, after)
        if status in _REJECTED:
            raise Rejected(said)
        if status in (401, 403):
            what = "the key is not accepted" if self._key else "it wants a key; put it into QZHOU_EVAL_API_KEY"
            raise BadInput(f"{said}; {what}")
        if response.is_redirect:
            raise BadInput(f"{said}; it redirects to {response.headers.get('Location')}: give that URL")
        if status in (404, 405):
            raise _NotThere(said)
        raise BadInput(said)

    def _content(self, response: httpx2.Response) -> dict:
        try:
            content = response.json()
        except (ValueError, UnicodeDecodeError):
            kind = response.headers.get("Content-Type", "no content type").split(";")[0]
            raise BadInput(f"{self.url} answered with {kind}, not JSON; is it the URL of an embeddings API?") from None
        if not isinstance(content, dict):
            raise BadInput(f"{self.url} answered with a {type(content).__name__}, not an object")
        return content

    def _message(self, response: httpx2.Response) -> str:
        """What an error's body says, in one line."""
        try:
            found = response.json()
            while isinstance(found, dict):
                found = next(found[name] for name in ("error", "message", "detail") if name in found)
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        except (ValueError, StopIteration):
            text = re.sub("<[^>]*>", " ", response.text)
        return self._hidden(" ".join(text.split())[:300]) or response.reason_phrase

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _gone(self, message: str) -> BadInput:
        return BadInput(f"{message.rstrip('.')}; what is done is kept; repeat the command to resume")

    def _stop(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _Busy):
            broken = error.status == 500 and state.attempt_number >= BROKEN_TRIES
            if broken or error.after > PATIENCE:
                return True
        return self._ended.is_set() or (state.seconds_since_start or 0.0) > PATIENCE

    def _say(self, state: RetryCallState) -> None:
        """Say that it waits, but not each time."""
        error = state.outcome.exception() if state.outcome else None
        if error is not None and time.monotonic() - self._said_at > _SAY_EVERY:
            self._said_at = time.monotonic()
            what = str(error) if isinstance(error, _Busy) else f"{self.url}: {in_one_line(error)}"
            log.warning("%s; trying again for up to %.0f s", self._hidden(what).rstrip("."), PATIENCE)


_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_backoff(state), error.after if isinstance(error, _Busy) else 0.0)


def _retry_after(value: str | None) -> float:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; 0 if there is none."""
    if value is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value.strip()):
        return float(value)
    date = email.utils.parsedate_tz(value)
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
