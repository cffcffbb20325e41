# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A branch's artifacts from a place offsite into a directory of this host, which then is a place like any other.

Whoever can write there can store anything under any name. So of each manifest the version is taken whose signature
verifies, and of each artifact the one that has its bytes; they come to temporary names, the manifest is placed last.
What is there already is not brought again.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import typing as t

from . import _bundle, _fetch_choice, _intact, _io, _lock, _manifest, _mirror, _names
from ._catalog import Entry
from ._errors import BackupError
from ._manifest import Manifest
from ._store._base import Listing, Source, UnreadableError, Version

_TEMPORARY = ".fetch-"
# By tar, the artifacts that each version of it held: one that was unpacked is not read again while they are here.
_MEMORY = ".unpacked.json"
_LARGEST_SMALL = 4 * _io.BLOCK_SIZE
_MOST_VERSIONS = 8
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class FetchRequest:
    """``directory`` is made if it is missing. ``reserve_bytes`` stay free there."""

    branch: str
    directory: str
    allowed_signers: str
    state_path: str
    run_id: str
    reserve_bytes: int = 0


@dataclasses.dataclass
class FetchOutcome:
    """Names of artifacts: ``taken`` now, and ``present`` before. ``refused``: what cannot be used, and why."""

    taken: list[str] = dataclasses.field(default_factory=list)
    present: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    bytes: int = 0


def fetch(source: Source, request: FetchRequest) -> FetchOutcome:
    """Bring what *source* lists of the branch; raise BackupError when it cannot be reached, or nothing is of use."""
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    _io.ensure_directory(request.directory)
    with _lock.hold(request.state_path, f"fetched-{request.branch}", run_id=request.run_id):
        fetching = _Fetching(source, request)
        try:
            fetching.run()
        finally:
            fetching.sweep()
    return require_some(fetching.outcome, branch=request.branch, url=source.url)


def require_some(outcome: FetchOutcome, *, branch: str, url: str) -> FetchOutcome:
    """*outcome*; raise BackupError when nothing of it can be used."""
    if not outcome.taken and not outcome.present:
        why = [f"{name}: {cause}" for name, cause in sorted(outcome.refused.items())[:_NAMED]] or ["nothing is there"]
        raise BackupError(
            f"Failed to find anything of {branch} in {url} that can be used: {'; '.join(why)}. Check "
            "the place, the branch's code, and that allowed_signers is the restorer's own copy; or name another place.",
            reason="nothing_to_fetch",
        )
    return outcome


def require_room(directory: str, missing: int, *, reserve: int) -> None:
    """Raise BackupError unless *missing* bytes fit, and *reserve* bytes stay free."""
    free = _io.free_bytes(directory) - reserve
    if missing > free:
        raise BackupError(
            f"Failed to fetch into {directory}: {missing} bytes are needed, {max(free, 0)} bytes are "
            "free. Make room, or set larapee_backup_restore_fetch_path to a directory of a larger disk.",
            reason="disk_full",
        )


def judged(request: FetchRequest, artifact: str, raw: bytes, signature: bytes) -> Manifest:
    """The manifest of *artifact*; raises ValueError and NotIntactError unless the branch signed it for that name."""
    manifest = _manifest.parse_manifest(raw)
    if manifest.artifact != artifact:
        raise ValueError(f"its manifest describes {manifest.artifact}")
    _intact.check_signature(manifest, raw, signature, branch=request.branch, allowed_signers=request.allowed_signers)
    return manifest


def commit(directory: str, artifact: str, raw: bytes, signature: bytes) -> None:
    """Place the manifest, last, beside the bytes that it speaks of."""
    for suffix, content in ((_names.SIGNATURE_SUFFIX, signature), (_names.MANIFEST_SUFFIX, raw)):
        _io.write_file(os.path.join(directory, artifact + suffix), content)


def is_here(directory: str, artifact: str, raw: bytes) -> bool:
    """The manifest comes last, so that with it all is there."""
    try:
        return _io.read_small(os.path.join(directory, artifact + _names.MANIFEST_SUFFIX)) == raw
    except (OSError, ValueError):
        return False


class _Fetching:
    def __init__(self, source: Source, request: FetchRequest) -> None:
        self.outcome = FetchOutcome()
        self._source = source
        self._request = request
        self._prefix = f"{request.branch}/"
        self._listed = Listing(source, self._prefix)
        self._names = sorted(key[len(self._prefix) :] for key in self._listed)
        # Of the tar that is being read.
        self._held: list[str] = []
        self._unpacked: dict[str, dict[str, list[str]]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._unpacked = _io.read_json(self._path(_MEMORY))

    def run(self) -> None:
        self.sweep()
        self._require_space()
        for name in self._names:
            artifact = name[: -len(_names.MANIFEST_SUFFIX)]
            if name.endswith(_names.MANIFEST_SUFFIX) and _names.parse_name(artifact) is not None:
                self._bring(artifact)
        for name in self._names:
            if _bundle.NAME.fullmatch(name):
                self._unpack(name)
        _io.fsync_directory(self._request.directory)

    def sweep(self) -> None:
        """Remove what was begun and not ended."""
        for name in os.listdir(self._request.directory):
            if name.startswith(_TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(name))

    def _require_space(self) -> None:
        missing = sum(
            max((each.size for each in self._versions(name)), default=0)
            for name in self._names
            if not os.path.lexists(self._path(name)) and not self._is_unpacked(name)
        )
        require_room(self._request.directory, missing, reserve=self._request.reserve_bytes)

    def _bring(self, artifact: str) -> None:
        found = self._signed(artifact)
        if found is None:
            return
        manifest, raw, signature = found
        if is_here(self._request.directory, artifact, raw):
            self.outcome.present.append(artifact)
            return
        try:
            for name, size, sha256 in _mirror.large_files(Entry("", manifest, raw)):
                self._take(name, size, sha256)
        except _intact.NotIntactError as exc:
            self.outcome.refused[artifact] = str(exc)
            return
        self._commit(artifact, raw, signature)

    def _signed(self, artifact: str) -> tuple[Manifest, bytes, bytes] | None:
        """The newest version of a manifest that its signature proves."""
        signatures = [self._small(each) for each in self._versions(artifact + _names.SIGNATURE_SUFFIX)]
        why = "its signature is missing"
        for version in self._versions(artifact + _names.MANIFEST_SUFFIX):
            raw = self._small(version)
            for signature in signatures:
                try:
                    return judged(self._request, artifact, raw, signature), raw, signature
                except (ValueError, _intact.NotIntactError) as exc:
                    why = str(exc)
        self.outcome.refused[artifact] = why
        return None

    def _take(self, name: str, size: int, sha256: str) -> None:
        """Have the bytes that a manifest speaks of; raises NotIntactError."""
        there = self._versions(name)
        for version in there:
            if version.size == size:
                with contextlib.suppress(UnreadableError), self._source.open(version) as stream:
                    if self._store(name, stream) == sha256:
                        os.rename(self._path(_TEMPORARY + name), self._path(name))
                        self.outcome.bytes += size
                        return
        raise _intact.NotIntactError(
            f"the bytes of {name} are not those of its manifest" if there else f"{name} is gone"
        )

    def _unpack(self, bundle: str) -> None:
        """Have the artifacts of a bundle, of all its versions: a lesser one may have been put before it."""
        known = self._unpacked.setdefault(bundle, {})
        for version in self._versions(bundle):
            held = known.get(version.version, [""])
            if self._are_here(held):
                self.outcome.present += [each for each in held if each not in self.outcome.taken]
                continue
            self._held = []
            with contextlib.suppress(UnreadableError), self._source.open(version) as stream:
                _bundle.read(stream, self._take_member, self._store_member)
            self.outcome.bytes += version.size
            self.sweep()
            known[version.version] = self._held
            _io.write_json(self._path(_MEMORY), self._unpacked)

    def _is_unpacked(self, name: str) -> bool:
        known = self._unpacked.get(name, {})
        versions = self._versions(name)
        return bool(known) and all(self._are_here(known.get(each.version, [""])) for each in versions)

    def _are_here(self, artifacts: t.Iterable[str]) -> bool:
        return all(os.path.lexists(self._path(each + _names.MANIFEST_SUFFIX)) for each in artifacts)

    def _store_member(self, name: str, content: t.IO[bytes]) -> str:
        artifact = _fetch_choice.artifact_of(name)
        if artifact is None or os.path.lexists(self._path(artifact + _names.MANIFEST_SUFFIX)):
            return _io.sha256_stream(content)
        return self._store(name, content)

    def _take_member(self, artifact: str, raw: bytes, signature: bytes, members: t.Mapping[str, str]) -> None:
        if _names.parse_name(artifact) is None or artifact in self.outcome.taken or artifact in self.outcome.present:
            return
        self._held.append(artifact)
        try:
            entry = Entry("", judged(self._request, artifact, raw, signature), raw)
            if is_here(self._request.directory, artifact, raw):
                self.outcome.present.append(artifact)
                return
            for name, _size, sha256 in _mirror.large_files(entry):
                if members.get(name) != sha256:
                    raise _intact.NotIntactError(f"the bytes of {name} are not those of its manifest")
            for name, _size, _sha256 in _mirror.large_files(entry):
                os.rename(self._path(_TEMPORARY + name), self._path(name))
        except (OSError, ValueError, _intact.NotIntactError) as exc:
            self.outcome.refused[artifact] = str(exc)
            return
        self.outcome.refused.pop(artifact, None)
        self._commit(artifact, raw, signature)

    def _commit(self, artifact: str, raw: bytes, signature: bytes) -> None:
        commit(self._request.directory, artifact, raw, signature)
        self.outcome.taken.append(artifact)

    def _store(self, name: str, stream: t.IO[bytes]) -> str:
        """Write to the temporary name of *name*; return the SHA-256 of what came."""
        digest = hashlib.sha256()
        path = self._path(_TEMPORARY + name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as handle:
                for block in iter(lambda: stream.read(_io.BLOCK_SIZE), b""):
                    digest.update(block)
                    handle.write(block)
                handle.flush()
                os.fsync(descriptor)
        except OSError as exc:
            raise BackupError(
                f"Failed to write {path}: {exc.strerror}. Make room, or name another directory by "
                "larapee_backup_restore_fetch_path; what came is kept.",
                reason="write_failed",
            ) from exc
        return digest.hexdigest()

    def _versions(self, name: str) -> t.Sequence[Version]:
        # Whoever has the writer's key can put any number of versions over it.
        return self._listed.versions(self._prefix + name)[:_MOST_VERSIONS]

    def _small(self, version: Version) -> bytes:
        found = bytearray()
        if version.size <= _LARGEST_SMALL:
            with contextlib.suppress(UnreadableError), self._source.open(version) as stream:
                for block in iter(lambda: stream.read(_LARGEST_SMALL), b""):
                    found += block
        return bytes(found)

    def _path(self, name: str) -> str:
        return os.path.join(self._request.directory, name)


__all__ = (
    "FetchOutcome",
    "FetchRequest",
    "commit",
    "fetch",
    "is_here",
    "judged",
    "require_room",
    "require_some",
)
