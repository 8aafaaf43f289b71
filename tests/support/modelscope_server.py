"""A small server on loopback in ModelScope's shape, as its client expects; not checked against the real service.

A listing is ``/api/v1/models/ORG/NAME/repo/files`` or ``/api/v1/datasets/ORG/NAME/repo/tree``, page by page; a file
is ``.../repo?Revision=master&FilePath=NAME``, and large files come from another host.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class ModelScopeServer:
    """The server: ``requests`` are the request lines, ``tokens`` the authorizations received, by host.

    A file in ``wrong`` is sent with one byte changed; one in ``cut`` breaks off in the middle, once.
    """

    def __init__(self) -> None:
        self.repositories = {}
        self.requests = []
        self.ranges = []
        self.tokens = set()
        self.wrong = set()
        self.cut = set()
        handler = type("Handler", (_Handler,), {"scope": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.cdn = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, name: str, files: dict[str, bytes], kind: str = "datasets", **fields) -> None:
        """Add a repository; ``fields`` replace the correct values in each file's entry."""
        self.repositories[f"{kind}/{name}"] = (files, fields)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    scope: ModelScopeServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.scope.requests.append(f"{url.path} {asked.get('FilePath', '')}".strip())
        self.scope.tokens.add((self.headers["Host"].split(":")[0], self.headers.get("Authorization")))
        found = re.fullmatch(r"(/cdn)?/api/v1/((?:datasets|models)/[^/]+/[^/]+)/repo(/files|/tree)?", url.path)
        if not found or found[2] not in self.scope.repositories or asked.get("Revision") != "master":
            self._json(404, {"Code": 10010205001, "Message": "no such repository", "Success": False})
            return
        files, fields = self.scope.repositories[found[2]]
        if found[3]:
            self._tree(found[2], files, fields, int(asked.get("PageNumber", 0)), int(asked.get("PageSize", 0)))
        elif asked["FilePath"] not in files:
            self._json(404, {"Code": 10990101004, "Message": "no such file", "Success": False})
        elif len(files[asked["FilePath"]]) > 5000 and not found[1]:
            self._send(302, b"", {"Location": f"{self.scope.cdn}/cdn{self.path}"})
        else:
            self._content(asked["FilePath"], files[asked["FilePath"]])

    def _tree(self, key: str, files: dict, fields: dict, page: int, size: int) -> None:
        folders = sorted({name.rsplit("/", 1)[0] for name in files if "/" in name.strip("/")})
        entries = [{"Path": name, "Type": "tree", "Size": 0, "Sha256": ""} for name in folders]
        for name, content in files.items():
            sha256 = hashlib.sha256(content).hexdigest()
            blob = {"Path": name, "Name": name.rsplit("/", 1)[-1], "Type": "blob", "Revision": "a" * 40}
            entries.append(blob | {"Size": len(content), "Sha256": sha256} | fields)
        if key.startswith("datasets/"):
            entries = entries[(page - 1) * size : page * size]
        self._json(200, {"Code": 200, "Data": {"Files": entries}, "Success": True})

    def _content(self, name: str, content: bytes) -> None:
        if name in self.scope.wrong:
            content = bytes([content[0] ^ 1]) + content[1:]
        status, headers, cut = 200, {}, name in self.scope.cut
        if asked := self.headers.get("Range"):
            self.scope.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            content = content[start:]
        self.scope.cut.discard(name)
        self._send(status, content, headers, len(content) // 2 if cut else len(content))

    def _json(self, status: int, body: dict) -> None:
        body = json.dumps(body).encode()
        self._send(status, body, {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict, part: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:part])
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass
