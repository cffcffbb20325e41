# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad way to the S3 server: TLS ends here and begins anew, and between them requests are refused or cut off."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.offsite.seaweed import Seaweed

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: 47\r\n\r\n<Error><Code>ServiceUnavailable</Code></Error> "
)


class Door:
    """``busy`` connections to come are answered 503; after ``bytes_left`` sent to the server all are cut off."""

    def __init__(self, seaweed: Seaweed) -> None:
        self.busy = 0
        self.bytes_left: int | None = None
        self.passed = 0
        self._server = urlsplit(seaweed.endpoint)
        self._inside = ssl.create_default_context(cafile=str(seaweed.certificate))
        self._outside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._outside.load_cert_chain(seaweed.certificate, seaweed.directory / "key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain, self._outside.wrap_socket(plain, server_side=True) as client:
            if self.busy > 0:
                self.busy -= 1
                client.recv(65536)
                client.sendall(_BUSY)
                return
            raw = socket.create_connection((str(self._server.hostname), int(self._server.port or 0)))
            with self._inside.wrap_socket(raw, server_hostname="127.0.0.1") as server:
                answers = threading.Thread(target=self._answer, args=(server, client), daemon=True)
                answers.start()
                while block := client.recv(65536):
                    self.passed += len(block)
                    if self.bytes_left is not None:
                        self.bytes_left -= len(block)
                        if self.bytes_left < 0:
                            return
                    server.sendall(block)

    def _answer(self, server: ssl.SSLSocket, client: ssl.SSLSocket) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(65536):
                client.sendall(block)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def door(seaweed: Seaweed) -> Iterator[Door]:
    made = Door(seaweed)
    try:
        yield made
    finally:
        made.close()
