# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as older cron lines left them, without a database."""

from __future__ import annotations

import datetime as dt
import io
import os
import subprocess
import tarfile
from pathlib import Path

NOW = dt.datetime(2026, 11, 22, 14, 32, 10, tzinfo=dt.timezone.utc)
# As mariadb-dump of 10.11 begins and ends; the client's line before it came later.
HEADER = """/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: larapos
-- ------------------------------------------------------
-- Server version\t10.11.19-MariaDB-0+deb12u1-log

/*!40101 SET NAMES utf8mb4 */;
"""
BODY = """
--
-- Table structure for table `orders`
--
CREATE TABLE `orders` (
  `id` int(11) NOT NULL
);
INSERT INTO `orders` VALUES (1,'caf\u00e9\\nUSE `mysql`;\\nCREATE TABLE x'),(2,NULL);
/*!50001 CREATE VIEW `daily` AS SELECT
 1 AS `orders` */;
/*!50001 VIEW `daily` AS select count(0) AS `orders` from `orders` */;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER note BEFORE INSERT ON orders FOR EACH ROW
BEGIN
CREATE TEMPORARY TABLE zz (i INT);
END */;;
DELIMITER ;
"""
TRAILER = "-- Dump completed on 2026-11-21 23:15:02\n"
DUMP = HEADER + BODY + TRAILER


def gzip(text: str) -> bytes:
    return subprocess.run(["gzip", "-c"], input=text.encode(), check=True, capture_output=True).stdout


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, check=True, capture_output=True).stdout


def archive(*odd: tarfile.TarInfo) -> bytes:
    """A tar as GNU tar writes it, with a directory, a file of 5 bytes, a link, and *odd* members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.GNU_FORMAT) as writer:
        for name, content, kind in (
            (".", None, tarfile.DIRTYPE),
            ("./receipt.txt", b"12.50", tarfile.REGTYPE),
            ("./" + "long" * 40, b"", tarfile.REGTYPE),
            ("./link", None, tarfile.SYMTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content or b"")
            info.linkname = "receipt.txt" if kind == tarfile.SYMTYPE else ""
            writer.addfile(info, io.BytesIO(content or b""))
        for info in odd:
            writer.addfile(info)
    return buffer.getvalue()


def put(path: Path, content: bytes, *, age: dt.timedelta = dt.timedelta(hours=1)) -> Path:
    """Write a file that was last written to *age* before ``NOW``."""
    path.write_bytes(content)
    touch(path, age=age)
    return path


def touch(path: Path, *, age: dt.timedelta) -> None:
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))
