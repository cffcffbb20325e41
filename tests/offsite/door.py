# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad way to the S3 server: TLS ends here and begins anew, and between them requests are refused or cut off.

A process of its own, with one thread for all connections: OpenSSL lets no two threads use one of them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.offsite.seaweed import Seaweed

_BLOCK = 65536
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: 46\r\n\r\n<Error><Code>ServiceUnavailable</Code></Error>"
)
_CONTEXT = multiprocessing.get_context("spawn")
UNLIMITED = 1 << 60


class Door:
    """``busy`` connections to come are answered 503; after ``bytes_left`` sent to the server all are cut off.

    ``passed`` bytes were sent to the server. All three are shared with the process.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self._busy = _CONTEXT.Value("q", 0)
        self._bytes_left = _CONTEXT.Value("q", UNLIMITED)
        self._passed = _CONTEXT.Value("q", 0)

    @property
    def busy(self) -> int:
        return int(self._busy.value)

    @busy.setter
    def busy(self, count: int) -> None:
        self._busy.value = count

    @property
    def passed(self) -> int:
        return int(self._passed.value)

    def let_pass(self, count: int) -> None:
        """From now on *count* bytes."""
        self._passed.value = 0
        self._bytes_left.value = count

    def run(self, server: str, certificate: Path, key: Path, ports: Any) -> None:
        asyncio.run(self._listen(server, certificate, key, ports))

    async def _listen(self, server: str, certificate: Path, key: Path, ports: Any) -> None:
        there = urlsplit(server)
        inside = ssl.create_default_context(cafile=str(certificate))
        outside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        outside.load_cert_chain(certificate, key)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError), contextlib.closing(writer):
                if self.busy > 0:
                    self.busy -= 1
                    await reader.read(_BLOCK)
                    writer.write(_BUSY)
                    await writer.drain()
                    return
                answers, requests = await asyncio.open_connection(there.hostname, there.port, ssl=inside)
                with contextlib.closing(requests):
                    back = asyncio.create_task(_pass(answers, writer))
                    while (block := await reader.read(_BLOCK)) and self._may_pass(len(block)):
                        requests.write(block)
                        await requests.drain()
                    back.cancel()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=outside)
        ports.put(listening.sockets[0].getsockname()[1])
        await listening.serve_forever()

    def _may_pass(self, count: int) -> bool:
        self._passed.value += count
        self._bytes_left.value -= count
        return bool(self._bytes_left.value >= 0)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()


@contextlib.contextmanager
def door(seaweed: Seaweed) -> Iterator[Door]:
    made = Door()
    ports = _CONTEXT.Queue()
    facts = (seaweed.endpoint, seaweed.certificate, seaweed.directory / "key.pem", ports)
    process = _CONTEXT.Process(target=made.run, args=facts, daemon=True)
    process.start()
    try:
        made.endpoint = f"https://127.0.0.1:{ports.get(timeout=30)}"
        yield made
    finally:
        process.kill()
        process.join()
        process.close()
        ports.close()
