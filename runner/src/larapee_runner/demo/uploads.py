# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the shop's customers and cashiers upload: pictures of products, slips of payments."""

from __future__ import annotations

import hashlib
import os
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .goods import CUSTOMERS, receipt_image

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE, DIRECTORY_MODE = 0o644, 0o755
WEB_SERVER_ID = 33  # www-data of every Debian
HISTORIC_SLIPS = 300
SLIP_METHODS = ("transfer", "mobile")
SLIP_SHARE = 0.7
SLIP_STATEMENT = (
    "INSERT INTO payment_slips (order_id, path, media_type, size, sha256, uploaded_at) VALUES (%s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True)
class Upload:
    """One file; its path is relative to the directory of the uploads, as the shop's rows have it."""

    path: str
    content: bytes

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    def slip_row(self, *, order_id: int, moment: datetime) -> tuple[Any, ...]:
        return order_id, self.path, "image/png", len(self.content), self.sha256, moment


def draw_slip(rng: random.Random, *, number: str, moment: datetime) -> Upload:
    """Named as a cashier would: by the invoice and the customer's name, whatever that consists of."""
    path = f"payment-slips/{moment:%Y-%m-%d}/{number} {rng.choice(CUSTOMERS)}.png"
    return Upload(path, receipt_image(rng, width=64, height=48))


def product_picture(seed: int, *, sku: str, name: str) -> Upload:
    rng = random.Random(f"{seed} {sku}")  # noqa: S311  # pictures, not secrets; the seed must give the same again
    return Upload(f"products/{sku}/{name}.png", receipt_image(rng))


class UploadDirectory:
    """Where the application puts uploads: storage/app/public of a Laravel application."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, upload: Upload, *, moment: datetime | None = None) -> None:
        target = self.directory / upload.path
        self.make_directory(target.parent)
        target.write_bytes(upload.content)
        target.chmod(FILE_MODE)
        self._give_to_web_server(target)
        if moment is not None:
            # One nanosecond more than a microsecond can say: what rounds times is seen.
            instant = int(moment.replace(tzinfo=UTC).timestamp()) * 10**9 + moment.microsecond * 1000 + 1
            os.utime(target, ns=(instant, instant))

    def remove(self, upload: Upload) -> None:
        (self.directory / upload.path).unlink()

    def make_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir()
        path.chmod(DIRECTORY_MODE)
        self._give_to_web_server(path)

    @staticmethod
    def _give_to_web_server(path: Path) -> None:
        if os.geteuid() == 0:
            # A container may not know that user; the files are then root's, as all else there.
            with suppress(OSError):
                os.chown(path, WEB_SERVER_ID, WEB_SERVER_ID)


def fill_slips(cursor: Any, *, seed: int, uploads: UploadDirectory | None) -> None:
    """Rows of the last slips of the shop's past, and their files where there is a directory for them."""
    rng = random.Random(f"{seed} slips")  # noqa: S311  # pictures, not secrets
    cursor.execute(
        "SELECT o.id, o.invoice_number, p.paid_at FROM payments p JOIN orders o ON o.id = p.order_id"
        " WHERE p.method IN %s ORDER BY p.id DESC LIMIT %s",
        (SLIP_METHODS, HISTORIC_SLIPS),
    )
    rows = []
    for order_id, number, moment in cursor.fetchall():
        slip = draw_slip(rng, number=str(number), moment=moment)
        rows.append(slip.slip_row(order_id=order_id, moment=moment))
        if uploads is not None:
            uploads.put(slip, moment=moment)
    cursor.executemany(SLIP_STATEMENT, rows)


__all__ = (
    "SLIP_METHODS",
    "SLIP_SHARE",
    "SLIP_STATEMENT",
    "Upload",
    "UploadDirectory",
    "draw_slip",
    "fill_slips",
    "product_picture",
)
