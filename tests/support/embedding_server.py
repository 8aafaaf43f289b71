"""A server of embeddings for tests, with the faults that real ones show; vectors come from an encoder given to it."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from qzhou_eval.encode.char_ngrams import vectors as ngrams


@dataclass
class Fault:
    """One answer that is not what was asked for.

    ``status`` and ``body`` (bytes as they are, else JSON) replace the answer; ``change`` edits the data of a good one;
    ``cut`` closes the connection in the middle of it; ``wait`` sleeps first.
    """

    status: int = 200
    body: object = None
    headers: dict = field(default_factory=dict)
    change: Callable[[list], list] | None = None
    cut: bool = False
    wait: float = 0.0


@dataclass
class Served:
    """What the server is and has seen: ``faults`` maps a request's number (from 0) or None (all) to a fault.

    ``refuses`` says for a request's body whether it is refused with ``refusal``, and why.
    """

    encode: Callable[[list[str], dict], np.ndarray] = lambda texts, body: ngrams(texts)
    models: tuple[str, ...] = ("ngrams",)
    listed: tuple[str, ...] = ()  # if not all models are
    key: str | None = None
    base64: bool = True
    usage: bool = True
    refuses: Callable[[dict], str | None] = lambda body: None
    refusal: int = 422
    faults: dict = field(default_factory=dict)
    bodies: list = field(default_factory=list)
    loading_until: float = 0.0  # by time.monotonic
    url: str = ""
    connections: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serving(served: Served, port: int = 0) -> Iterator[Served]:
    """Run it in a thread; its ``url`` is set."""
    kind = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", port), kind)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        for connection in served.connections:  # as a killed server's
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, *about):
        pass

    def setup(self):
        super().setup()
        self.served.connections.append(self.connection)

    def do_GET(self):
        if self._unknown_key():
            return
        names = [{"id": name, "object": "model"} for name in self.served.listed or self.served.models]
        self._answer(200, {"object": "list", "data": names})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._unknown_key():
            return
        with self.served.lock:
            number = len(self.served.bodies)
            self.served.bodies.append(body)
            fault = self.served.faults.get(number, self.served.faults.get(None))
        if time.monotonic() < self.served.loading_until:
            fault = Fault(503, {"message": "Model is loading"})
        if fault:
            time.sleep(fault.wait)
            if fault.body is not None or fault.status != 200:
                self._answer(fault.status, fault.body, fault.headers)
                return
        if body["model"] not in self.served.models:
            self._answer(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        elif why := self.served.refuses(body):
            self._answer(self.served.refusal, {"error": why})
        else:
            self._answer(200, self._vectors(body, fault), cut=bool(fault and fault.cut))

    def _vectors(self, body: dict, fault: Fault | None) -> dict:
        found = self.served.encode(body["input"], body).astype(np.float32)
        packed = self.served.base64 and body.get("encoding_format") == "base64"
        rows = [base64.b64encode(row.tobytes()).decode() if packed else [*map(float, row)] for row in found]
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        data = fault.change(data) if fault and fault.change else data
        answer = {"object": "list", "data": data, "model": body["model"]}
        tokens = sum(map(len, body["input"]))
        return answer | ({"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if self.served.usage else {})

    def _unknown_key(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.served.key in (None, given):
            return False
        self._answer(401, {"error": {"message": f"Incorrect API key provided: {given}."}})
        return True

    def _answer(self, status: int, body: object, headers: dict | None = None, *, cut: bool = False) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True
