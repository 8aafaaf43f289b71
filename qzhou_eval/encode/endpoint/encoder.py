"""The encoder behind a server: batches of prompts are sent by several threads, and come back as vectors."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

import numpy as np

from qzhou_eval.encode.encoder import Encoded
from qzhou_eval.encode.endpoint.answers import vectors_in
from qzhou_eval.encode.endpoint.client import Client, EndpointError, Rejected
from qzhou_eval.encode.endpoint.prompts import ServedPrompt
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.system.environment import versions

BATCH_TEXTS = 32  # what text-embeddings-inference takes by default
BATCH_TOKENS = 16384


@dataclass(frozen=True)
class Request:
    """What goes with the texts of each request: fields for all, and for each side ("query", "document") its own."""

    fields: Mapping[str, object]
    by_side: Mapping[str, Mapping[str, object]]

    def body(self, texts: list[str], side: str) -> dict[str, object]:
        """The request for texts on one side."""
        return {**self.fields, **self.by_side.get(side, {}), "input": texts}


class EndpointEncoder:
    """Sends prompts to a server. A request that it refuses is sent in halves, down to a single text.

    Args:
        requests: how many are under way at a time.
    """

    def __init__(
        self,
        client: Client,
        request: Request,
        *,
        requests: int,
        batch_tokens: int,
    ) -> None:
        self._client, self._request = client, request
        self._requests, self._batch_texts, self._batch_tokens = requests, BATCH_TEXTS, batch_tokens
        self._width: int | None = None  # that of the first vector
        self._lock = threading.Lock()
        self._answered_model: str | None = None

    @property
    def made_with(self) -> MadeWith:
        """What vectors are made with, to be recorded."""
        device = f"endpoint {self._client.url}"
        plan = f"longest first, up to {self._batch_texts} texts and {self._batch_tokens} tokens"
        found: MadeWith = {"device": device, "batch_plan": plan, "versions": versions(("httpx2",))}
        if self._answered_model is not None:
            found["served_model"] = self._answered_model
        return found

    def stream(self, prepared: Sequence[ServedPrompt]) -> Iterator[Encoded]:
        """Yield vectors as they come, batch by batch.

        Raises:
            EndpointError: the server gives no usable vectors for some prompts.
            BadInput: it refuses all requests, or does not answer.
        """
        batches = iter(self.batches(prepared))
        with ThreadPoolExecutor(self._requests, thread_name_prefix="endpoint") as pool:
            waiting: dict[Future[Encoded], None] = {}
            try:
                while True:
                    for rows in islice(batches, 2 * self._requests - len(waiting)):
                        waiting[pool.submit(self._encode, rows, [prepared[row] for row in rows])] = None
                    if not waiting:
                        return
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        del waiting[future]
                        yield future.result()
            except (KeyboardInterrupt, SystemExit):
                self._client.close()  # nobody waits for its answers
                raise
            finally:
                for future in waiting:
                    future.cancel()

    def batches(self, prepared: Sequence[ServedPrompt]) -> list[list[int]]:
        """The requests to send, longest prompts first; a batch is on one side."""
        order = sorted(range(len(prepared)), key=lambda row: (prepared[row].side, -prepared[row].size))
        found: list[list[int]] = []
        tokens = 0
        for row in order:
            tokens += prepared[row].size
            last = found[-1] if found else []
            full = len(last) >= self._batch_texts or tokens > self._batch_tokens
            if not last or full or prepared[last[0]].side != prepared[row].side:
                found.append([])
                tokens = prepared[row].size
            found[-1].append(row)
        return found

    def vectors(self, prompts: Sequence[ServedPrompt]) -> np.ndarray:
        """Vectors of one request's prompts, float32 (n, width).

        Raises:
            EndpointError, BadInput: as :meth:`stream`.
        """
        if len(prompts) > (most := self._batch_texts):
            return np.concatenate(
                [self.vectors(prompts[start : start + most]) for start in range(0, len(prompts), most)]
            )
        try:
            body = self._request.body([prompt.text for prompt in prompts], prompts[0].side)
            answer = self._client.embeddings(body)
        except Rejected as error:
            if len(prompts) == 1:
                raise EndpointError(f"{error}; the text is {prompts[0].text[:60]!r}") from None
            half = len(prompts) // 2
            both = np.concatenate([self.vectors(part) for part in (prompts[:half], prompts[half:])])
            with self._lock:  # both halves went, so there were too many
                self._batch_texts = min(self._batch_texts, half)
            return both
        found = vectors_in(answer, len(prompts))
        self._check_width(found.shape[1])
        named = answer.get("model")
        self._answered_model = named if isinstance(named, str) else self._answered_model
        return found

    def _encode(self, rows: list[int], prompts: list[ServedPrompt]) -> Encoded:
        import torch

        return Encoded(rows, torch.from_numpy(self.vectors(prompts)), sum(prompt.size for prompt in prompts))

    def _check_width(self, width: int) -> None:
        with self._lock:
            if self._width is None:
                self._width = width
            if self._width != width:
                raise EndpointError(f"the server gave a vector of {width} components, others have {self._width}")
