"""A small real HTTP server with side effects, for killing its clients: ``python -m`` it.

``POST /effects`` does something once per ``Idempotency-Key`` (or at every request without one),
``PUT /slots/NAME`` is idempotent, ``GET /effects`` lists all that was done. It answers a little
late, after its effect, so that clients often die between the two.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    done: list[str] = []  # noqa: RUF012
    receipts: dict[str, int] = {}  # noqa: RUF012
    slots: dict[str, str] = {}  # noqa: RUF012
    lock = threading.Lock()

    def do_POST(self) -> None:
        text = self.body()
        key = self.headers.get("Idempotency-Key")
        with self.lock:
            if key is None or key not in self.receipts:
                self.done.append(text)
                if key is not None:
                    self.receipts[key] = len(self.done)
            receipt = len(self.done) if key is None else self.receipts[key]
        self.late({"receipt": receipt})

    def do_PUT(self) -> None:
        with self.lock:
            self.slots[self.path] = self.body()
        self.late({"ok": True})

    def do_GET(self) -> None:
        with self.lock:
            self.answer({"done": self.done, "slots": self.slots})

    def body(self) -> str:
        length = int(self.headers["Content-Length"])
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the client died before it had said everything")
        return data.decode()

    def late(self, value: object) -> None:
        time.sleep(0.001)
        self.answer(value)

    def answer(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # its client was killed
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()
