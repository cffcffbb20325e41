# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restored config snapshot has differently from the host that it lies on, without showing a secret.

Of a ``.env`` the names whose values differ are told, of any other file that it differs. A file is put into its place
when it is asked for by its name, and what stood there is kept beside it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from . import _dotenv, _io, _staging
from ._errors import BackupError

_LARGEST_ENV = 1024 * 1024


def compare(restored: str) -> dict[str, t.Any]:
    """By ``missing``, ``different``, ``equal`` absolute paths of the snapshot; by ``names`` what differs in a .env."""
    found: dict[str, t.Any] = {"missing": [], "different": [], "equal": [], "names": {}}
    for path in _files(restored):
        live = "/" + os.path.relpath(path, restored)
        if not os.path.lexists(live):
            found["missing"].append(live)
        elif _content(path) == _content(live):
            found["equal"].append(live)
        else:
            found["different"].append(live)
            if os.path.basename(live).startswith(".env"):
                found["names"][live] = _names(path, live)
    return found


def apply(restored: str, wanted: t.Sequence[str], *, check_mode: bool = False) -> list[dict[str, str | None]]:
    """Put the *wanted* absolute paths in their places; return each with where what it replaces is kept.

    Raises BackupError, before anything changes, when the snapshot has no such file.
    """
    for live in wanted:
        source = os.path.join(restored, live.lstrip("/"))
        if not os.path.isabs(live) or os.path.normpath(live) != live or not stat.S_ISREG(_mode(source)):
            raise BackupError(
                f"Failed to apply {live} of the config snapshot: no such file is in {restored}. Nothing was changed. "
                "Name absolute paths that the comparison tells, in larapee_backup_restore_config_apply.",
                reason="not_in_config",
            )
    return [_apply_one(restored, live, check_mode=check_mode) for live in wanted if _differs(restored, live)]


def _apply_one(restored: str, live: str, *, check_mode: bool) -> dict[str, str | None]:
    source = os.path.join(restored, live.lstrip("/"))
    if check_mode:
        return {"path": live, "kept": None}
    directory, name = os.path.split(live)
    kept = None
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.new")
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        status = os.stat(source)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(source, "rb") as reader, open(descriptor, "wb") as writer:
            for block in iter(lambda: reader.read(_io.BLOCK_SIZE), b""):
                writer.write(block)
            if os.geteuid() == 0:
                os.fchown(writer.fileno(), status.st_uid, status.st_gid)
            os.fchmod(writer.fileno(), stat.S_IMODE(status.st_mode))
            writer.flush()
            os.fsync(writer.fileno())
        if os.path.lexists(live):
            kept = _keep(directory, name)
        os.replace(temporary, live)
        _io.fsync_directory(directory)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise BackupError(
            f"Failed to write {live}: {exc.strerror}. Its restored version is {source}.", reason="write_failed"
        ) from exc
    return {"path": live, "kept": kept}


def _keep(directory: str, name: str) -> str:
    """A second name for what is there, so that at every moment there is one of the two under the first."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept = _staging.kept_name(name, parent=descriptor)
        os.link(name, kept, src_dir_fd=descriptor, dst_dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)
    return os.path.join(directory, os.fsdecode(kept))


def _differs(restored: str, live: str) -> bool:
    return not os.path.lexists(live) or _content(os.path.join(restored, live.lstrip("/"))) != _content(live)


def _files(top: str) -> t.Iterator[str]:
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted(files):
            yield os.path.join(directory, name)


def _mode(path: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(path, follow_symlinks=False).st_mode
    return 0


def _content(path: str) -> tuple[str, str]:
    """What to compare a file by: where a link leads, or the hash of its bytes."""
    if stat.S_ISLNK(_mode(path)):
        return ("link", os.readlink(path))
    try:
        return ("file", _io.sha256_file(path)[0])
    except OSError as exc:
        return ("unreadable", str(exc.strerror))


def _names(restored: str, live: str) -> list[str] | None:
    """The names whose values differ; None when one of the two cannot be read as the application reads it."""
    try:
        old, new = (
            _dotenv.parse(_io.read_small(path, limit=_LARGEST_ENV).decode("utf-8", "surrogateescape"))
            for path in (live, restored)
        )
    except (OSError, ValueError):
        return None
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


__all__ = ("apply", "compare")
