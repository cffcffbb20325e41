# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A full or an increment of the uploads, or the config: from the checks before it to the published artifact.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import stat
import typing as t

from . import (
    _clock,
    _compress,
    _current,
    _dirfd,
    _encrypt,
    _io,
    _latch,
    _lock,
    _making,
    _manifest,
    _pipeline,
    _publish,
    _snapshot,
    _sources,
)
from ._archive_stream import TreeArchive
from ._compare import Comparison
from ._digest import Both, Digest
from ._errors import BackupError
from ._index import Index
from ._lineage import CONFIG_KIND, FULL, INCREMENT, Lineage, NothingYet
from ._outward import OutwardLinks
from ._problems import UNREADABLE, Problems
from ._relinked import find_relinked
from ._walk import DEEPEST, Directory, Leaf, Root, Walk


@dataclasses.dataclass(frozen=True)
class ArchiveRequest:
    """What to archive and where to; see :class:`_making.Making` for what it shares with other requests.

    ``content`` is ``uploads`` (one path) or ``config``; an ``increment`` of config is all of it, if it changed. With
    ``always`` one of nothing is made too: a set with its own artifact does not depend on other runs.
    """

    branch: str
    content: str
    paths: tuple[str, ...]
    local_path: str
    state_path: str
    run_id: str
    signing_key: str
    increment: bool = False
    always: bool = False
    compression: str = "zstd"
    encrypt: bool = True
    recipients: tuple[str, ...] = ()
    reserve_bytes: int = 64 * 1024 * 1024
    quota_bytes: int = 0
    allowed_signers: str | None = None


@dataclasses.dataclass
class ArchiveOutcome:
    """``manifest`` is None in check mode, and when the tree is ``unchanged``; ``plan`` says what will be or was done.

    ``problems`` names by kind the first paths that could not be archived as they were; with any ``unreadable`` the
    backup has holes, and :meth:`require_readable` says so.
    """

    plan: dict[str, t.Any]
    manifest: _manifest.Manifest | None = None
    unchanged: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)
    problems: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def require_readable(self) -> None:
        """Raise BackupError when something could not be read: what was made is published, and has holes."""
        count = self.counts.get(UNREADABLE, 0)
        if not count:
            return
        named = self.problems[UNREADABLE]
        more = f" and {count - len(named)} more" if count > len(named) else ""
        made = f"{self.manifest.artifact} was made without them" if self.manifest else "Nothing was made of them"
        raise BackupError(
            f"Failed to read {count} of the {self.plan['content']}: {', '.join(named)}{more}. {made}; give the account "
            "that takes backups the right to read them, then run again.",
            reason="unreadable_files",
        )


def archive_files(request: ArchiveRequest, *, check_mode: bool = False) -> ArchiveOutcome:
    """Archive one content; raises BackupError, and then nothing new exists at the place."""
    _making.check_request(request)
    roots = _sources.find_roots(request.content, request.paths, outside=(request.local_path, request.state_path))
    with contextlib.ExitStack() as stack:
        removed: list[str] = []
        directory = _snapshot.directory_of(request.state_path, request.branch)
        if not check_mode:
            _io.ensure_directory(request.local_path)
            _io.ensure_directory(directory)
            restoring, own = f"restore-{request.branch}", f"files-{request.branch}-{request.content}"
            stack.enter_context(_lock.hold(request.state_path, restoring, run_id=request.run_id, shared=True))
            stack.enter_context(_lock.hold(request.state_path, own, run_id=request.run_id))
        _latch.require_open(request.state_path, branch=request.branch, what=f"back up the {request.content}")
        if not check_mode:
            removed = [each for kind in _kinds(request) for each in _publish.sweep(request.local_path, kind=kind)]
        stack.enter_context(_dirfd.many_descriptors(DEEPEST + 256))
        lineage = Lineage(request, request.content, check_mode=check_mode)
        run = _Run(request, roots, lineage, directory)
        if removed:
            run.outcome.warnings.insert(0, f"Removed what an interrupted run left: {', '.join(removed)}.")
        try:
            run.prepare(stack)
            if check_mode:
                run.preview()
            else:
                run.make()
        except OSError as exc:
            raise BackupError(
                f"Failed to archive the {request.content}: {exc.strerror}. {_io.free_bytes(directory)} bytes are free "
                f"below {request.state_path}; nothing was kept.",
                reason="disk_full" if _pipeline.disk_full(exc) else "write_failed",
            ) from exc
    return run.outcome


def _kinds(request: ArchiveRequest) -> tuple[str, ...]:
    return (FULL, INCREMENT) if request.content == _sources.UPLOADS else (CONFIG_KIND,)


class _Run:
    """One archive on its way; ``outcome`` fills as it goes."""

    def __init__(self, request: ArchiveRequest, roots: list[Root], lineage: Lineage, directory: str) -> None:
        self._request = request
        self._roots = roots
        self._lineage = lineage
        self._directory = directory
        self._snapshot: _snapshot.Snapshot | None = None
        self._kind = FULL if request.content == _sources.UPLOADS else CONFIG_KIND
        self.outcome = ArchiveOutcome(plan={}, warnings=list(lineage.warnings))

    def prepare(self, stack: contextlib.ExitStack) -> None:
        """Decide what is to be made, and see that there is room for it."""
        request = self._request
        why = None
        if request.increment:
            try:
                self._snapshot = stack.enter_context(self._lineage.snapshot())
            except NothingYet as exc:
                why = str(exc)
            except _snapshot.SnapshotError as exc:
                why = str(exc)
                self.outcome.warnings.append(f"All of the {request.content} is taken, not an increment: {why}.")
        if self._snapshot is not None and self._kind == FULL:
            self._kind = INCREMENT
        if self._kind == FULL:
            # Once a day is enough to be heard.
            self.outcome.warnings += _making.recipient_warnings(request)
        newest = self._lineage.chain[-1].name if self._lineage.chain else None
        self.outcome.plan = {
            "branch": request.branch,
            "content": request.content,
            "paths": list(request.paths),
            "directory": request.local_path,
            "kind": self._kind,
            "why": why,
            "encrypted": request.encrypt,
            "newest": newest,
        }
        around = self._lineage.around[self._kind]
        expected = 0 if self._kind == INCREMENT else _making.expected_size(around.newest(self._kind))
        if self._kind != CONFIG_KIND or self._snapshot is None:
            _making.allowance(request).require(expected, what=f"archive the {request.content}")

    def preview(self) -> None:
        """Count what would be read."""
        counts, changed = self._look()
        self.outcome.plan.update(counts)
        self.outcome.unchanged = not changed and not self._request.always
        if self.outcome.unchanged:
            self.outcome.plan["kind"] = None

    def make(self) -> None:
        # Taken before the tree is read: what is there by now is in the artifact, whatever the clock does later.
        now = _clock.now()
        if self._kind == CONFIG_KIND and self._snapshot is not None:
            if not self._look()[1] and not self._request.always:
                self._leave(now)
                return
            self.outcome = dataclasses.replace(self.outcome, problems={}, counts={})
            _making.allowance(self._request).require(0, what=f"archive the {self._request.content}")
        reservation = _publish.reserve(
            self._request.local_path,
            kind=self._kind,
            compression=self._request.compression,
            encrypted=self._request.encrypt,
            now=now,
            run_id=self._request.run_id,
        )
        snapshot = _snapshot.SnapshotWriter(self._directory, content=self._request.content)
        with reservation, Index(self._directory) as index, snapshot as writer:
            manifest = self._archive(reservation, index, writer, now)
        if manifest is None:
            self._leave(now)
        else:
            self._after(manifest, now)

    def _look(self) -> tuple[dict[str, int], bool]:
        """The number of entries and bytes to be read, and whether anything changed at all."""
        problems = Problems()
        gone = 0

        def count_gone(_path: bytes) -> None:
            nonlocal gone
            gone += 1

        relinked = self._relinked()
        comparison = Comparison(self._snapshot, gone=count_gone) if self._snapshot is not None else None
        walk = Walk(self._roots, problems=problems, comparison=comparison, relinked=relinked)
        entries = size = 0
        with contextlib.closing(walk.events()) as events:
            for event in events:
                if isinstance(event, Directory):
                    entries += event.take
                else:
                    entries += 1
                    size += _size_of(event)
        self._note_problems(problems)
        counts = {"entries": entries, "bytes": size, "deletions": gone}
        if self._kind == CONFIG_KIND and (entries or gone):
            counts = {"entries": walk.entries, "bytes": walk.size, "deletions": 0}
        return counts, bool(entries or gone)

    def _relinked(self) -> frozenset[tuple[int, int]]:
        if self._kind != INCREMENT or self._snapshot is None:
            return frozenset()
        return find_relinked(self._roots, self._snapshot)

    def _archive(
        self, reservation: _publish.Reservation, index: Index, writer: _snapshot.SnapshotWriter, now: dt.datetime
    ) -> _manifest.Manifest | None:
        """Make and publish the artifact; None when nothing changed."""
        problems = Problems(index.problem)
        increment = self._kind == INCREMENT
        snapshot = self._snapshot if increment else None
        relinked = self._relinked()
        comparison = Comparison(snapshot, gone=index.gone) if snapshot is not None else None
        walk = Walk(self._roots, problems=problems, comparison=comparison, writer=writer, relinked=relinked)
        outward = OutwardLinks(self._roots)
        tree = TreeArchive(walk, index=index, problems=problems, outward=outward, increment=increment)
        stored = self._pass(tree, reservation.open_part())
        self._note_problems(problems)
        self.outcome.warnings += outward.warnings(self._request.content)
        self.outcome.plan.update(entries=index.entries, bytes=index.size, deletions=index.deletions)
        if increment and not index.entries and not index.deletions and not self._request.always:
            return None
        companion = self._pass(index, reservation.open_companion())
        facts = {
            "size": stored.size,
            "sha256": stored.sha256,
            "plain_size": tree.plain.size,
            "plain_sha256": tree.plain.sha256,
            "entries": index.entries,
            "deletions": index.deletions,
            "tree": {"entries": walk.entries, "bytes": walk.size},
            "problems": problems.counts,
            "companion": {
                "size": companion.size,
                "sha256": companion.sha256,
                "plain_size": index.plain.size,
                "plain_sha256": index.plain.sha256,
            },
        }
        manifest = _manifest.check_manifest(self._describe(reservation.name, now, facts))
        raw = _manifest.manifest_bytes(manifest)
        signature = _making.sign(self._request, raw, at=manifest.created_at)
        if not writer.save(manifest.artifact, sha256=manifest.sha256):
            self.outcome.warnings.append(
                f"More than {_snapshot.RETAKEN_LIMIT} paths could not be read, so the next run takes everything again."
            )
        reservation.publish(manifest=raw, signature=signature)
        return manifest

    def _pass(self, producer: _pipeline.Producer, target: int) -> Digest:
        """Compress, encrypt and write what *producer* makes; the digest of what is stored."""
        stored = Digest()
        elements: list[_pipeline.Command | _pipeline.Producer | _pipeline.Tap] = [
            producer,
            _compress.compressor(self._request.compression),
        ]
        if self._request.encrypt:
            elements.append(_encrypt.encryptor(self._request.recipients))
        elements.append(Both(stored, _making.allowance(self._request)))
        results = _pipeline.run_pipeline(elements, target=target)
        _pipeline.require_success(
            results, what=f"archive the {self._request.content}", advice="Nothing was kept of this archive."
        )
        return stored

    def _describe(self, name: str, now: dt.datetime, facts: dict[str, t.Any]) -> dict[str, t.Any]:
        around = self._lineage.around[self._kind]
        document = _making.common_fields(self._request, around, name=name, created_at=now, epoch=self._lineage.epoch)
        if self._kind == INCREMENT:
            document["base"] = self._lineage.chain[0].name
            document["previous"] = self._lineage.chain[-1].name
        return {**document, "format": "tar", "tool_versions": _making.tool_versions(self._request), **facts}

    def _note_problems(self, problems: Problems) -> None:
        self.outcome.problems = {kind: list(paths) for kind, paths in problems.named.items() if paths}
        self.outcome.counts = dict(problems.counts)
        self.outcome.warnings += problems.warnings()

    def _leave(self, now: dt.datetime) -> None:
        """Nothing changed: the newest artifact is the truth up to *now*."""
        self.outcome.unchanged = True
        if not self.outcome.counts[UNREADABLE]:
            self._note_current(self._lineage.chain[-1].name, now)

    def _after(self, manifest: _manifest.Manifest, now: dt.datetime) -> None:
        """What helps people and later runs; the artifact is complete without it, so a failure here is only said."""
        self.outcome.manifest = manifest
        warnings = self.outcome.warnings
        warnings += self._lineage.around[self._kind].note_clock(now)
        tree = manifest.document["tree"]
        before = self._lineage.chain[-1].manifest.document["tree"] if self._lineage.chain else tree
        if self._request.content == _sources.UPLOADS and tree["entries"] <= 1 < before["entries"]:
            warnings.append(
                f"{self._request.paths[0]} is empty; it had {before['entries'] - 1} entries at the last backup. See "
                "that its filesystem is mounted."
            )
        warnings += _making.after_publishing(self._request, manifest)
        self._note_current(manifest.artifact, now)
        with contextlib.suppress(OSError):
            _snapshot.remove_others(self._directory, than=manifest.artifact, kinds=_kinds(self._request))

    def _note_current(self, artifact: str, now: dt.datetime) -> None:
        request = self._request
        try:
            _current.note(request.state_path, request.branch, request.content, artifact, now)
        except (BackupError, OSError) as exc:
            self.outcome.warnings.append(f"The tip will not know that {artifact} is current: {exc}")


def _size_of(leaf: Leaf) -> int:
    try:
        status = os.stat(leaf.name, dir_fd=leaf.parent, follow_symlinks=False)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


__all__ = ("ArchiveOutcome", "ArchiveRequest", "archive_files")
