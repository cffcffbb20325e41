#!/usr/bin/env python3
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sells through the lab POS's API, and keeps a file of what the shop acknowledged: those receipts were promised.

The file gets a JSON line for each order, {"at", "invoice", "total"}, and for each slip, {"at", "invoice", "path",
"sha256"}; a line is on the disk before the next sale begins. An order without an answer is sent again under its key,
until it has one.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import signal
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RETRY_PAUSE_S = 0.2
TIMEOUT_S = 15.0
METHODS = ("cash", "card", "transfer", "mobile")


class SellError(Exception):
    """The shop refused what it should take."""


class StoppedError(Exception):
    """The seller was told to end while it waited for an answer."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class Api:
    """The shop's API with a login that is renewed when the shop forgot it, as after a restore."""

    def __init__(self, url: str, *, email: str, password: str, ending: threading.Event) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f'Failed to read the URL "{url}": it is none of http or https. Give one like http://127.0.0.1.'
            raise SellError(msg)
        self._class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place = parts.netloc
        self._prefix = parts.path.rstrip("/") + "/api/v1/"
        self._login = {"email": email, "password": password}
        self._token = ""
        self._ending = ending

    def call(self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None) -> Any:
        """Ask until the shop answers; bytes are sent as they are, all else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        while True:
            if not self._token:
                login = self._obtain("POST", "auth/login", json.dumps(self._login).encode(), {})
                self._token = login.body["token"]
            answer = self._obtain(method, path, content, {"Authorization": f"Bearer {self._token}", **(headers or {})})
            if answer.status != http.HTTPStatus.UNAUTHORIZED:
                return answer.body
            self._token = ""

    def _obtain(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Answer:
        while not self._ending.is_set():
            try:
                answer = self._once(method, path, content, headers)
            except (OSError, http.client.HTTPException, ValueError):
                answer = None
            if answer is None or answer.status >= 500 or answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
                self._ending.wait(RETRY_PAUSE_S)
                continue
            if answer.status >= 400 and (answer.status != http.HTTPStatus.UNAUTHORIZED or path == "auth/login"):
                msg = f"Failed to {method} {path}: {answer.status} {answer.body}. Read the shop's log."
                raise SellError(msg)
            return answer
        raise StoppedError

    def _once(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Answer:
        connection = self._class(self._place, timeout=TIMEOUT_S)
        try:
            sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
            connection.request(method, self._prefix + path, content, sent)
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()


class Ledger:
    """What was promised."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, **what: str) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="microseconds"), **what}) + "\n"
        os.write(self._descriptor, line.encode())
        os.fsync(self._descriptor)


def picture(rng: random.Random, size: int) -> bytes:
    """A valid PNG of noise, of about `size` bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    width = 256
    height = max(1, size // width)
    rows = b"".join(b"\0" + rng.randbytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


class Seller:
    def __init__(self, api: Api, ledger: Ledger, rng: random.Random, *, slip_share: float, slip_bytes: int) -> None:
        self._api = api
        self._ledger = ledger
        self._rng = rng
        self._slip_share = slip_share
        self._slip_bytes = slip_bytes
        self._variants = [variant["id"] for variant in api.call("GET", "variants")]
        if not self._variants:
            msg = "Failed to sell: the shop has no goods. Seed it first."
            raise SellError(msg)

    def sell(self) -> None:
        rng = self._rng
        order = {
            "till": rng.randint(1, 3),
            "method": rng.choice(METHODS),
            "items": [
                {"variant_id": rng.choice(self._variants), "quantity": rng.choice((1, 2, 3, 0.25, 1.375))}
                for _ in range(rng.choice((1, 1, 2, 3, 5)))
            ],
        }
        # Not of the seeded generator: a run that is repeated sells anew.
        key = os.urandom(16).hex()
        answer = self._api.call("POST", "orders", order, headers={"Idempotency-Key": key})
        self._ledger.add(invoice=answer["invoice"], total=answer["total"])
        if rng.random() < self._slip_share:
            self._upload(answer["invoice"])

    def _upload(self, invoice: str) -> None:
        slip = picture(self._rng, self._slip_bytes)
        boundary = os.urandom(12).hex()
        content = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="invoice"\r\n\r\n{invoice}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="slip"; filename="slip.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode() + slip
        content += f"\r\n--{boundary}--\r\n".encode()
        answer = self._api.call(
            "POST", "uploads", content, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        self._ledger.add(invoice=invoice, path=answer["path"], sha256=hashlib.sha256(slip).hexdigest())


def run(options: argparse.Namespace, ending: threading.Event) -> int:
    """Sell until time is over or the end is called; return how many orders were acknowledged."""
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    sys.stderr.write(f"sell: seed {seed}\n")
    password = options.password_file.read_text(encoding="utf-8").rstrip("\n")
    sold = 0
    started = time.monotonic()
    try:
        seller = Seller(
            Api(options.url, email=options.email, password=password, ending=ending),
            Ledger(options.acknowledged),
            random.Random(seed),  # noqa: S311  # goods, not secrets
            slip_share=options.slip_share,
            slip_bytes=options.slip_bytes,
        )
        due = time.monotonic()
        while not ending.is_set() and (options.seconds is None or time.monotonic() - started < options.seconds):
            seller.sell()
            sold += 1
            # A shop that was away is not flooded with the sales it missed.
            due = max(due + 1 / options.per_second, time.monotonic())
            ending.wait(due - time.monotonic())
    except StoppedError:
        pass
    return sold


def main() -> int:
    parser = argparse.ArgumentParser(description="Sell through the lab POS's API.")
    parser.add_argument("--url", default="http://127.0.0.1")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--acknowledged", type=Path, required=True, help="file that gets a line per promised receipt")
    parser.add_argument("--per-second", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help="end by itself after so long; without it, SIGTERM ends it")
    parser.add_argument("--slip-share", type=float, default=0.2, help="how many of the orders get a slip, from 0 to 1")
    parser.add_argument("--slip-bytes", type=int, default=16384)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    try:
        sold = run(options, ending)
    except (OSError, SellError) as exception:
        sys.stderr.write(f"{exception}\n")
        return 1
    sys.stderr.write(f"sell: {sold} orders acknowledged\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
