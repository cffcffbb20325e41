# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application in a drill: a copy of the release on the restored data, where nothing outside can be reached.

Its settings are the restored ones, so that they are proven too, but for those that would lead elsewhere. The release's
own storage and cached settings stay behind: both belong to what is live on this host.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import typing as t

from . import _dotenv, _drill_cut, _io
from ._errors import BackupError

_APP: t.Final = "app"
# Of bootstrap/cache: what artisan made of the live settings. The manifests of packages belong to the release.
_CACHED: t.Final = re.compile(r"(config|events|routes.*)\.php")
_LEFT_BEHIND: t.Final = ("storage", ".env", ".git", "node_modules")
_STORAGE: t.Final = ("app", "framework/cache/data", "framework/sessions", "framework/views", "logs")
_NAME: t.Final = re.compile(r"[A-Za-z0-9_.]+")
# Whatever the shop's own say: nothing leaves, and nothing but the throwaway server is asked.
_SETTINGS: t.Final = {
    "DATABASE_URL": "",
    "DB_URL": "",
    "DB_HOST": "localhost",
    "DB_USERNAME": "root",
    "DB_PASSWORD": "",
    "MAIL_MAILER": "log",
    "QUEUE_CONNECTION": "null",
    "BROADCAST_DRIVER": "log",
    "BROADCAST_CONNECTION": "log",
    "CACHE_DRIVER": "file",
    "CACHE_STORE": "file",
    "SESSION_DRIVER": "file",
    "REDIS_URL": "",
    "APP_DEBUG": "false",
}


@dataclasses.dataclass(frozen=True)
class DrillAppRequest:
    """``path``: of the drill. ``env_file``: restored. ``settings`` go over it. ``serve``: what answers at the port."""

    path: str
    release: str
    env_file: str
    settings: t.Mapping[str, str]
    socket: str
    database: str
    serve: t.Sequence[str]
    lifetime: int


def begin(request: DrillAppRequest) -> dict[str, str]:
    """Copy, settle, and start it; return ``path`` and the ``interpreter`` by which modules work beside it."""
    # A wrong path would get another application's settings.
    if not os.path.exists(os.path.join(request.path, "lease.json")):
        raise BackupError(
            f"Failed to put the application into {request.path}: no drill takes place there. Begin one with "
            "drill_server.",
            reason="bad_target",
        )
    app = os.path.join(request.path, _APP)
    values = _settings(request)
    try:
        _copy(request.release, app)
        _make_storage(request, app)
        _io.write_file(os.path.join(app, ".env"), _written(values).encode())
    except (OSError, shutil.Error) as exc:
        raise BackupError(
            f"Failed to copy the application from {request.release}: {exc}. Set larapee_backup_drill_app_path to the "
            "release that is deployed here, readable by this account.",
            reason="app_not_copied",
        ) from exc
    cut = _drill_cut.make(request.path, home=app, lifetime=request.lifetime)
    cut.prove()
    if request.serve:
        cut.start(request.serve, directory=app, log=os.path.join(request.path, "serve.log"))
    return {"path": app, "interpreter": cut.write_interpreter(os.path.join(request.path, "interpreter"))}


def _settings(request: DrillAppRequest) -> dict[str, str]:
    try:
        values = _dotenv.parse(_io.read_small(request.env_file).decode("utf-8"))
    except (OSError, UnicodeDecodeError, _dotenv.DotenvError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise BackupError(
            f"Failed to read the restored settings {request.env_file}: {why}. Is it in the config snapshot? Set "
            "larapee_backup_drill_env_path to where it is on the branch.",
            reason="no_settings",
        ) from exc
    values.update(_SETTINGS, DB_SOCKET=request.socket, DB_DATABASE=request.database)
    values.update(request.settings)
    return values


def _written(values: t.Mapping[str, str]) -> str:
    """In double quotes, with what counts there escaped."""
    lines = []
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise BackupError(
                f"Failed to write the setting {name!r}: that is no name. Correct larapee_backup_drill_env.",
                reason="no_settings",
            )
        escaped = re.sub(r'(["\\$])', r"\\\1", value).replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def _copy(release: str, app: str) -> None:
    def left_behind(directory: str, names: list[str]) -> set[str]:
        inner = os.path.relpath(directory, release)
        if inner == ".":
            return {name for name in names if name in _LEFT_BEHIND}
        if inner == os.path.join("bootstrap", "cache"):
            return {name for name in names if _CACHED.fullmatch(name)}
        return set()

    shutil.copytree(release, app, symlinks=True, ignore=left_behind)
    os.makedirs(os.path.join(app, "bootstrap", "cache"), exist_ok=True)


def _make_storage(request: DrillAppRequest, app: str) -> None:
    """The directories that the release has, without what is in them, and the restored uploads."""
    own, storage = os.path.join(request.release, "storage"), os.path.join(app, "storage")
    for name in _STORAGE:
        os.makedirs(os.path.join(storage, name), exist_ok=True)
    for directory, names, _files in os.walk(os.path.realpath(own)):
        inner = os.path.relpath(directory, os.path.realpath(own))
        if inner == os.path.join("app", "public"):
            names.clear()
        elif inner != ".":
            os.makedirs(os.path.join(storage, inner), exist_ok=True)
    public = os.path.join(storage, "app", "public")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(public)
    os.symlink(os.path.join(request.path, "uploads"), public)
    link = os.path.join(app, "public", "storage")
    if os.path.islink(link):
        os.unlink(link)
        os.symlink(public, link)


__all__ = ("DrillAppRequest", "begin")
