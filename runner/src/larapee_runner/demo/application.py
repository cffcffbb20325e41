# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's application directory: uploads, `.env` and the web server's configuration, as a Laravel host has them."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from .uploads import Upload, UploadDirectory

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT_MODE = 0o640
NGINX_SITE = """server {{
    listen 80;
    server_name pos.example.org;
    root /var/www/public;
    client_max_body_size {limit}m;
}}
"""
# What copies of directories lose: blanks, quotes, line breaks, names that look like options or are no UTF-8.
ODD_NAMES = (
    b"two  blanks .png",
    b'it\'s "quoted" & $HOME.png',
    "🥑 aguacate, el último.png".encode(),
    b"-rf",
    b"first line\nsecond line.txt",
    b"caf\xe9 of an old till.png",
    b"back\\slash.png",
)
CATALOGUE_SIZE = 2 << 20
RAISED_LIMIT_MB = 64


class Application:
    """Below `root`, which it makes and removes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads = UploadDirectory(root / "storage" / "app" / "public")
        self.environment = root / ".env"
        self.nginx = root / "nginx"

    @property
    def config_paths(self) -> tuple[Path, ...]:
        return self.environment, self.nginx

    def install(self, *, database: str, user: str, password: str) -> str:
        """Returns the secret that Laravel encrypts with: without it neither sessions nor encrypted columns open."""
        key = "base64:" + base64.b64encode(secrets.token_bytes(32)).decode()
        lines = [
            "APP_NAME=\"LaraPee 'El Centro'\"",
            "APP_ENV=production",
            f"APP_KEY={key}",
            f"DB_DATABASE={database}",
            f"DB_USERNAME={user}",
            f'DB_PASSWORD="{password}"',
        ]
        self.uploads.make_directory(self.uploads.directory)
        self.environment.touch(mode=0o600)
        self.environment.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.environment.chmod(ENVIRONMENT_MODE)
        (self.nginx / "sites-available").mkdir(parents=True)
        (self.nginx / "sites-enabled").mkdir()
        self._write_site(limit=8)
        (self.nginx / "sites-enabled" / "larapee.conf").symlink_to("../sites-available/larapee.conf")
        self._put_odd_files()
        return key

    def _write_site(self, *, limit: int) -> None:
        site = self.nginx / "sites-available" / "larapee.conf"
        site.write_text(NGINX_SITE.format(limit=limit), encoding="utf-8")

    def _put_odd_files(self) -> None:
        for number, name in enumerate(ODD_NAMES):
            self.uploads.put(Upload(f"imports/{os.fsdecode(name)}", b"odd %d\n" % number))
        directory = self.uploads.directory
        self.uploads.put(Upload("catalogue/2026.pdf", b"%PDF-1.7\n" + secrets.token_bytes(CATALOGUE_SIZE)))
        os.link(directory / "catalogue" / "2026.pdf", directory / "catalogue" / "current.pdf")
        (directory / "catalogue" / "latest").symlink_to("2026.pdf")
        (directory / "imports" / "by-category").symlink_to("../catalogue")
        (directory / "imports" / "gone").symlink_to("a file of another year.png")
        self.uploads.make_directory(directory / "imports" / "empty")
        self.uploads.put(Upload("imports/nothing.csv", b""))
        (directory / "imports" / "nothing.csv").chmod(0o600)

    def work_on(self) -> None:
        """What a day does to files besides new slips: some are replaced, renamed, removed or changed in mode."""
        imports = self.uploads.directory / "imports"
        (imports / os.fsdecode(ODD_NAMES[0])).unlink()
        (imports / os.fsdecode(ODD_NAMES[1])).rename(imports / os.fsdecode(ODD_NAMES[1] + b".old"))
        (imports / "nothing.csv").chmod(0o640)
        # A directory takes a file's name, and a file a directory's.
        (imports / "-rf").unlink()
        self.uploads.put(Upload("imports/-rf/still here.txt", b"a directory now\n"))
        (imports / "empty").rmdir()
        self.uploads.put(Upload("imports/empty", b"a file now\n"))
        self._write_site(limit=RAISED_LIMIT_MB)

    def remove(self) -> None:
        shutil.rmtree(self.root)


__all__ = ("ENVIRONMENT_MODE", "Application")
