# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A branch's artifacts from central, by rsync over SSH, into a directory that then is a place like any other.

The manifests come first and are judged; of the rest only that is asked for which a manifest that the branch signed
speaks of. It comes into a directory below, where what a broken connection left is gone on with, also by a later start;
a manifest is placed when the bytes beside it are its own.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tempfile
import time
import typing as t

from . import _dirfd, _fetch, _fetch_choice, _intact, _io, _lock, _mirror, _names, _process, _rsync
from ._catalog import Entry
from ._errors import BackupError
from ._fetch import FetchOutcome, FetchRequest
from ._rsync import Way

_COMING = ".coming"
_LARGEST_SMALL = 4 * _io.BLOCK_SIZE
_TRIES = 5
_PAUSE_SECONDS = 2.0
# One file did not come whole, or is gone: what came of the others is judged all the same.
_INCOMPLETE = (23, 24)
# rsync's own words for what another try may mend: the stream broke, it was silent.
_BROKEN = (10, 11, 12, 255, *_rsync.TIMEOUTS)
_REFUSED = ("Permission denied", "Host key verification failed", "Could not resolve", "failed to execute", "not found")
_LISTED = re.compile(rb"-[rwxsStT-]{9}\S* +([0-9,]+) \S+ \S+ (\S+)")
_URL = re.compile(
    r"ssh://(?:(?P<user>[^@/:]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)"
)


@dataclasses.dataclass(frozen=True)
class Address:
    """What ``ssh://[user@]host[:port]/path`` says; ``path`` is the branch's own directory."""

    user: str
    host: str
    port: int
    path: str


def parse(url: str, *, branch: str) -> Address:
    """Raise BackupError unless *url* names a place, which is the branch's or has the branch's directory in it."""
    match = _URL.fullmatch(url)
    host = match["host"].strip("[]") if match is not None else ""
    user = (match["user"] or "root") if match is not None else ""
    port = int(match["port"] or 22) if match is not None else 0
    path = match["path"].rstrip("/") if match is not None else ""
    if (
        not (_rsync.HOST.fullmatch(host) and _rsync.USER.fullmatch(user) and _rsync.PLAIN_PATH.fullmatch(path))
        or not 0 < port < 65536
        or os.path.normpath("/" + path.lstrip("/")) != path
    ):
        raise BackupError(
            f"Failed to use {url}: it is no ssh://[user@]host[:port]/path without spaces, quotes and dots. Correct "
            "larapee_backup_restore_source.",
            reason="bad_address",
        )
    own = os.path.basename(path) == branch
    return Address(user=user, host=host, port=port, path=path if own else f"{path}/{branch}")


@dataclasses.dataclass(frozen=True)
class SshRequest(FetchRequest):
    """``to`` and ``fulls`` as the choice has them; ``bandwidth`` in KiB a second, 0 for no limit."""

    to: str = "latest"
    fulls: int = 3
    bandwidth: int = 0


def fetch(way: Way, url: str, request: SshRequest) -> FetchOutcome:
    """Bring what the restore needs; raise BackupError when central cannot be reached, or nothing is of use."""
    _io.ensure_directory(request.directory)
    with _lock.hold(request.state_path, f"fetched-{request.branch}", run_id=request.run_id):
        fetching = _Fetching(way, url, request)
        try:
            fetching.run()
        finally:
            fetching.sweep()
    return _fetch.require_some(fetching.outcome, branch=request.branch, url=url)


def wanted(way: Way, url: str, request: SshRequest) -> dict[str, int]:
    """By name of a file that the restore needs: its size at central."""
    listed = _Transfer(way, url, request).list()
    chosen = _fetch_choice.choose(listed, to=request.to, fulls=request.fulls)
    return {name: size for name, size in listed.items() if name in chosen}


class _Fetching:
    def __init__(self, way: Way, url: str, request: SshRequest) -> None:
        self.outcome = FetchOutcome()
        self._way = way
        self._url = url
        self._request = request
        self._coming = os.path.join(request.directory, _COMING)
        self._transfer = _Transfer(way, url, request)

    def run(self) -> None:
        there = wanted(self._way, self._url, self._request)
        _io.ensure_directory(self._coming)
        proven = self._judge(there)
        missing = {
            name: size
            for entry, _signature in proven.values()
            for name, size, _sha256 in _mirror.large_files(entry)
            if there.get(name) == size
        }
        self._require_room(missing)
        self._transfer.bring(missing, self._coming)
        for artifact, (entry, signature) in sorted(proven.items()):
            try:
                self._place(entry, signature, there)
            except _intact.NotIntactError as exc:
                self.outcome.refused[artifact] = str(exc)
        _io.fsync_directory(self._request.directory)

    def sweep(self) -> None:
        """What came, whole or in part, stays for the next start; without any of it the directory goes."""
        with contextlib.suppress(OSError):
            os.rmdir(self._coming)

    def _judge(self, there: t.Mapping[str, int]) -> dict[str, tuple[Entry, bytes]]:
        """By artifact that is not here yet: its manifest, signed by the branch, and the signature."""
        suffixes = (_names.MANIFEST_SUFFIX, _names.SIGNATURE_SUFFIX)
        small = {name: size for name, size in there.items() if name.endswith(suffixes) and size <= _LARGEST_SMALL}
        found: dict[str, tuple[Entry, bytes]] = {}
        with tempfile.TemporaryDirectory(prefix=".manifests-", dir=self._coming) as scratch:
            self._transfer.bring(small, scratch)
            for name in sorted(each for each in small if each.endswith(_names.MANIFEST_SUFFIX)):
                artifact = name[: -len(_names.MANIFEST_SUFFIX)]
                try:
                    raw = _io.read_small(os.path.join(scratch, name))
                    signature = _io.read_small(os.path.join(scratch, artifact + _names.SIGNATURE_SUFFIX))
                    manifest = _fetch.judged(self._request, artifact, raw, signature)
                except FileNotFoundError:
                    self.outcome.refused[artifact] = "its signature is missing"
                except (OSError, ValueError, _intact.NotIntactError) as exc:
                    self.outcome.refused[artifact] = str(exc)
                else:
                    if _fetch.is_here(self._request.directory, artifact, raw):
                        self.outcome.present.append(artifact)
                    else:
                        found[artifact] = Entry("", manifest, raw), signature
        return found

    def _require_room(self, missing: t.Mapping[str, int]) -> None:
        """What came before needs none; what came of other files goes."""
        needed = sum(missing.values())
        for each in os.listdir(self._coming):
            path = os.path.join(self._coming, each)
            if each in missing:
                needed -= min(os.lstat(path).st_size, missing[each])
            else:
                self._remove(path)
        _fetch.require_room(self._request.directory, needed, reserve=self._request.reserve_bytes)

    def _remove(self, path: str) -> None:
        parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _dirfd.remove(os.path.basename(path), parent=parent)
        finally:
            os.close(parent)

    def _place(self, entry: Entry, signature: bytes, there: t.Mapping[str, int]) -> None:
        """Have the bytes that a manifest speaks of in the directory, then the manifest; raises NotIntactError."""
        directory = self._request.directory
        files = _mirror.large_files(entry)
        for name, size, sha256 in files:
            path = os.path.join(self._coming, name)
            if name not in there:
                raise _intact.NotIntactError(f"{name} is gone")
            if not os.path.isfile(path) or os.path.islink(path) or _io.sha256_file(path) != (sha256, size):
                # Not to be gone on with: the next start asks for it again.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                raise _intact.NotIntactError(f"the bytes of {name} are not those of its manifest")
        for name, size, _sha256 in files:
            path = os.path.join(self._coming, name)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(path, os.path.join(directory, name))
            self.outcome.bytes += size
        _fetch.commit(directory, entry.name, entry.raw, signature)
        self.outcome.taken.append(entry.name)


class _Transfer:
    """rsync's runs, each tried again while the connection breaks."""

    def __init__(self, way: Way, url: str, request: SshRequest) -> None:
        self._way = way
        self._url = url
        self._request = request

    def list(self) -> dict[str, int]:
        """By name of a file there: its size."""
        with tempfile.TemporaryFile() as handle:
            self._try(["--list-only", "--dirs", "--no-human-readable"], None, handle)
            handle.seek(0)
            found = {}
            for each in handle:
                match = _LISTED.fullmatch(each.rstrip(b"\n"))
                name = match[2].decode("ascii", "replace") if match else ""
                if match and _fetch_choice.artifact_of(name) is not None:
                    found[name] = int(match[1].replace(b",", b""))
            return found

    def bring(self, names: t.Iterable[str], directory: str) -> None:
        """Bring the files *names* into *directory*; what is there whole is not brought again."""
        lines = "".join(f"/{each}\n" for each in sorted(names))
        if not lines:
            return
        with tempfile.NamedTemporaryFile("w", dir=os.path.join(self._request.directory, _COMING)) as handle:
            handle.write(lines)
            handle.flush()
            # In place: what a killed rsync leaves is gone on with, too, and needs no room beside what it becomes.
            argv = ["--dirs", "--times", "--omit-dir-times", "--inplace", "--chmod=F0600"]
            argv += ["--no-links", "--no-devices", "--no-specials", f"--include-from={handle.name}", "--exclude=*"]
            argv += [f"--bwlimit={self._request.bandwidth}"] if self._request.bandwidth else []
            self._try(argv, directory, None)

    def _try(self, options: t.Sequence[str], directory: str | None, answer: t.IO[bytes] | None) -> None:
        way = self._way
        setpriv = _process.find_tool("setpriv")
        # The transport is a process of its own that must not outlive us either.
        transport = " ".join([setpriv, "--pdeathsig", "KILL", "--", *way.ssh("fetch_key")])
        host = f"[{way.host}]" if ":" in way.host else way.host
        argv = [*way.as_account(), _process.find_tool("rsync"), *options]
        argv += [f"--timeout={way.silence_timeout}", f"--rsh={transport}", "--", f"{host}:/"]
        argv += [directory + "/"] if directory is not None else []
        for number in range(1, _TRIES + 1):
            code, said = _rsync.run(argv, self._look, answer=answer)
            if code == 0 or (code in _INCOMPLETE and directory is not None):
                return
            if code not in _BROKEN or any(each in said for each in _REFUSED) or number == _TRIES:
                raise self._failed(code, said)
            if answer is not None:
                answer.seek(0)
                answer.truncate()
            time.sleep(_PAUSE_SECONDS * number)

    def _look(self) -> None:
        if _io.free_bytes(self._request.directory) < self._request.reserve_bytes:
            raise BackupError(
                f"Failed to fetch into {self._request.directory}: no more bytes are free than are to stay so. Make "
                "room, or set larapee_backup_restore_fetch_path to a directory of a larger disk; what came is kept.",
                reason="disk_full",
            )

    def _failed(self, code: int, said: str) -> BackupError:
        if code in _rsync.TIMEOUTS:
            said = f"it was silent for {self._way.silence_timeout} seconds"
        if "Permission denied" in said:
            advice = (
                "The key is good for some hours only, by central's clock: start the restore again. If it is refused "
                f"again, let central's sshd take keys with forced commands for {self._way.user} (PermitRootLogin)."
            )
        elif "erification failed" in said:
            advice = (
                f"What answers as {self._way.host} is not the host that the play takes for central: correct the "
                "address, or larapee_backup_restore_central."
            )
        else:
            advice = "Check central and the way to it; what came is kept, and a restore that is started again goes on."
        return BackupError(
            f"Failed to fetch from {self._url}: {said or f'rsync ended with {code}'}. {advice}", reason="not_fetched"
        )


__all__ = ("Address", "SshRequest", "fetch", "parse", "wanted")
