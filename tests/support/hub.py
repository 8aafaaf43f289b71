"""A small server on loopback that speaks the hub's protocol, with faults on request; its rows are the miniature's."""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


@dataclass
class Fault:
    """What happens to the next ``times`` requests whose line contains ``where``."""

    where: str
    times: int = 1
    status: int = 0
    headers: dict = field(default_factory=dict)
    cut: bool = False
    flip: bool = False
    body: bytes = b""
    until: threading.Event | None = None


class Hub:
    """The server: ``requests`` are the request lines, ``sent`` counts the bytes of files by name, ``tokens`` are the
    authorizations received.
    """

    def __init__(self) -> None:
        self.repositories = {}
        self.faults = []
        self.requests = []
        self.ranges = []
        self.sent = {}
        self.tokens = set()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.cdn = f"http://localhost:{self._server.server_port}/cdn"  # another host, as for the hub's large files
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, name: str, files: dict[str, bytes], revision: str = COMMIT, kind: str = "datasets") -> None:
        self.repositories[f"{kind}/{name}"] = (revision, files)

    def add_folder(self, name: str, folder: Path, revision: str, kind: str = "datasets") -> None:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        self.add(name, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}, revision, kind)

    def fault(self, where: str, **what) -> None:
        self.faults.append(Fault(where, **what))

    def forget(self) -> None:
        """Clear the records."""
        self.requests.clear()
        self.ranges.clear()
        self.sent.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def is_large(content: bytes) -> bool:
    """Whether the hub would store it outside git."""
    return len(content) > 5000


def listed(name: str, content: bytes) -> dict:
    """A file's entry in the answer to ``/tree``."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": name, "size": len(content), "oid": blob}
    if is_large(content):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        self.hub.requests.append(line)
        if self.headers["Host"] in self.hub.url and "agent" not in path:
            self.hub.tokens.add(self.headers.get("Authorization"))
        elif "Authorization" in self.headers:
            self.hub.tokens.add("outside")
        fault = next((f for f in self.hub.faults if f.times and f.where in line), Fault(""))
        fault.times -= 1
        if fault.until is not None:
            fault.until.wait(60)
        if fault.status:
            self._send(fault.status, fault.body, fault.headers)
        elif api := re.fullmatch(r"/api/((?:datasets|models)/[^/]+/[^/]+)/(revision|tree)/([^/]+)", path):
            self._api(*api.groups())
        elif file := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, name, revision, inside = file.groups()
            self._file(f"{kind or 'models'}/{name}", revision, inside, fault)
        elif path.startswith("/cdn/"):
            self._content(*self._stored(path.removeprefix("/cdn/")), {}, fault)
        else:
            self._send(404, b"", {})

    def _known(self, key: str, revision: str) -> bool:
        if key not in self.hub.repositories:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in (self.hub.repositories[key][0], "main"):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _api(self, key: str, what: str, revision: str) -> None:
        if self._known(key, revision):
            commit, files = self.hub.repositories[key]
            info = {"id": key.split("/", 1)[1], "sha": commit, "siblings": []}
            tree = [listed(name, content) for name, content in files.items()]
            self._send(200, json.dumps(info if what == "revision" else tree).encode(), {})

    def _file(self, key: str, revision: str, inside: str, fault: Fault) -> None:
        if not self._known(key, revision):
            return
        commit, files = self.hub.repositories[key]
        headers = {"X-Repo-Commit": commit}
        if inside not in files:
            self._send(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
            return
        entry = listed(inside, files[inside])
        if not is_large(files[inside]):
            self._content(inside, files[inside], headers | {"ETag": f'"{entry["oid"]}"'}, fault)
            return
        sha256 = entry["lfs"]["oid"]
        headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(entry["size"])}
        self._send(302, b"", headers | {"Location": f"{self.hub.cdn}/{sha256}"})

    def _stored(self, sha256: str) -> tuple[str, bytes]:
        everything = (item for _, files in self.hub.repositories.values() for item in files.items())
        return next((n, c) for n, c in everything if hashlib.sha256(c).hexdigest() == sha256)

    def _content(self, name: str, content: bytes, headers: dict, fault: Fault) -> None:
        if fault.flip:
            content = bytes([content[0] ^ 1]) + content[1:]
        status, size = 200, len(content)
        if asked := self.headers.get("Range"):
            self.hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
            status, content = 206, content[start:]
            headers = headers | {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        self._send(status, content, headers, cut=fault.cut)
        if self.command == "GET":
            self.hub.sent[name] = self.hub.sent.get(name, 0) + (len(content) // 2 if fault.cut else len(content))

    def _send(self, status: int, content: bytes, headers: dict, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass
