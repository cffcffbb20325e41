# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line between two hosts that breaks after so many bytes, each time it is used."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading


class Cutter:
    """``port`` leads to *target*; of a connection *after* bytes come back, then it is cut, the first *times* times."""

    def __init__(self, target: int, *, after: int, times: int) -> None:
        self.cuts = 0
        self._target = target
        self._after = after
        self._times = times
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # Closing alone does not wake who waits in accept.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._server.accept()
                with near, socket.create_connection(("127.0.0.1", self._target)) as far, contextlib.suppress(OSError):
                    self._pass(near, far)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        count = 0
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _events in selector.select():
                    source: socket.socket = near if key.data is far else far
                    block = source.recv(16384)
                    count += len(block) if source is far else 0
                    if self.cuts < self._times and count > self._after:
                        self.cuts += 1
                        return
                    if not block:
                        return
                    key.data.sendall(block)


__all__ = ("Cutter",)
