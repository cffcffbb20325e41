# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore of uploads or config: refuse what is not right, put all together aside, then change places with the target.

Until that last step the target is not touched. A failed or killed restore leaves it as it was.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import time
import typing as t

from . import (
    _catalog,
    _dirfd,
    _file_choose,
    _file_target,
    _lease,
    _live,
    _lock,
    _manifest,
    _names,
    _open,
    _placing,
    _sequence,
    _staging,
    _survey,
    _unpack,
)
from ._catalog import Entry
from ._choose import LATEST
from ._errors import BackupError
from ._file_choose import FileChoice
from ._file_target import FileTarget
from ._member_names import DEEPEST, printable
from ._selection import Parts, Selection
from ._staging import Staging

REFUSE: t.Final = "refuse"
KEEP: t.Final = "keep"
_OTHER_DESCRIPTORS: t.Final = 256
# Config holds links such as sites-enabled/shop -> /etc/nginx/sites-available/shop; uploads are served by a web server
# that follows links.
_OUTWARD_LINKS: t.Final = {"uploads": REFUSE, "config": KEEP}


@dataclasses.dataclass(frozen=True)
class FileRestoreRequest:
    """What to restore and where to. ``source`` is a directory here; ``confirm`` the typed branch code or empty.

    ``paths`` empty: everything. ``outward_links`` None: refused for uploads, kept for config. ``live_option_file``,
    ``live_path``: how this host backs up, and what.
    """

    branch: str
    content: str
    source: str
    allowed_signers: str
    target: str
    state_path: str
    run_id: str
    to: str = LATEST
    paths: tuple[str, ...] = ()
    identity: str | None = None
    confirm: str = ""
    outward_links: str | None = None
    live_option_file: str = ""
    live_path: str = ""

    @property
    def is_live(self) -> bool:
        """Whether all of what this host archives is replaced; a single file is no restore of the shop."""
        if self.paths:
            return False
        return _live.is_live_path(self.target, option_file=self.live_option_file, live_path=self.live_path)


@dataclasses.dataclass
class FileRestoreOutcome:
    """``plan`` says what was, or in check mode would be, restored; ``seconds`` by step."""

    chain: list[Entry]
    plan: dict[str, t.Any]
    seconds: dict[str, float]
    warnings: list[str]


def restore_files(request: FileRestoreRequest, *, check_mode: bool = False) -> FileRestoreOutcome:
    """Restore files into the target directory; raises BackupError, and then the target is as it was."""
    _check(request)
    confirmed = request.confirm == request.branch
    selection = Selection(request.paths, absolute=request.content == "config") if request.paths else None
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_dirfd.many_descriptors(DEEPEST + _OTHER_DESCRIPTORS))
        if not check_mode:
            stack.enter_context(_lock.hold(request.state_path, f"restore-{request.branch}", run_id=request.run_id))
        target = _file_target.find_target(request.target, source=request.source, state_path=request.state_path)
        leftovers = [] if check_mode else _staging.sweep(target)
        if leftovers:
            target = _file_target.find_target(request.target, source=request.source, state_path=request.state_path)
        with _timed(seconds, "choose"):
            catalogue = _catalog.read_catalogue(request.source)
            choice = _file_choose.choose_files(
                catalogue,
                branch=request.branch,
                content=request.content,
                to=request.to,
                allowed_signers=request.allowed_signers,
            )
            stack.enter_context(_lease.hold(choice.entries))
        for entry in choice.entries:
            _open.require_identity(entry, request.identity)
        replaced = _require_target(target, request, selection, confirmed=confirmed)
        _file_target.require_room(target, _bytes_to_write(choice.entries))
        outcome = FileRestoreOutcome(
            chain=list(choice.entries),
            plan=_plan(request, target, choice, replaced),
            seconds=seconds,
            warnings=_warn(request, catalogue, choice, leftovers),
        )
        if check_mode:
            return outcome
        staging = stack.enter_context(_staging.staged(target, run_id=request.run_id))
        with _timed(seconds, "open"):
            unpacked = _unpack_all(request, choice, staging, selection)
        if selection is None:
            _give_top_attributes(request, target, staging)
        with _timed(seconds, "examine"):
            _examine(request, target, staging, choice, selection)
        with _timed(seconds, "sync"):
            _sync(staging)
        if request.is_live:
            because = f"{request.content} restored from {choice.entries[-1].name}"
            outcome.warnings += _live.hold(
                request.state_path, branch=request.branch, because=because, run_id=request.run_id
            )
        with _timed(seconds, "place"):
            if selection is None or target.status is None:
                kept = _placing.place_tree(target, staging)
            else:
                kept = _placing.place_paths(target, staging, selection.wanted, confirmed=confirmed)
        outcome.plan["kept"] = kept
        outcome.warnings += unpacked.attributes.warnings()
        if unpacked.torn:
            outcome.warnings.append(
                "These files changed while they were archived, and may be neither old nor new: "
                f"{', '.join(unpacked.torn)}."
            )
    return outcome


def report_of_file_restore(outcome: FileRestoreOutcome) -> dict[str, t.Any]:
    """What the recorder notes of this run."""
    details: dict[str, t.Any] = {"plan": outcome.plan, "seconds": outcome.seconds}
    if outcome.warnings:
        details["warnings"] = outcome.warnings
    return {
        "artifacts": [
            {"name": entry.name, "size": entry.manifest.size, "sha256": entry.manifest.sha256}
            for entry in outcome.chain
        ],
        "recovery_point": outcome.plan["recovery_point"],
        "details": details,
    }


def _check(request: FileRestoreRequest) -> None:
    if not _names.is_branch_code(request.branch):
        raise BackupError(f"Failed to use the branch {request.branch!r}: not a branch's code.", reason="bad_branch")
    if "://" in request.source:
        raise BackupError(
            f"Failed to read {request.source}: only a directory on the target can be a source so far. "
            "Copy the artifacts, their manifests, signatures and indexes to the target and name that directory.",
            reason="bad_source",
        )


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> t.Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - begun, 3)


def _require_target(
    target: FileTarget, request: FileRestoreRequest, selection: Selection | None, *, confirmed: bool
) -> list[Parts]:
    if selection is None:
        _file_target.require_replaceable(target, branch=request.branch, confirmed=confirmed)
        return []
    found = _placing.occupied(target, selection.wanted)
    _placing.require_unoccupied(target, found, branch=request.branch, confirmed=confirmed)
    return found


def _bytes_to_write(entries: t.Sequence[Entry]) -> int:
    """At most: what the archives hold, and what the tree is in the end (a sparse file counts there with its holes)."""
    archived = sum(entry.manifest.plain_size for entry in entries)
    return min(archived, int(entries[-1].manifest.document["tree"]["bytes"]) or archived)


def _plan(
    request: FileRestoreRequest, target: FileTarget, choice: FileChoice, replaced: t.Sequence[Parts]
) -> dict[str, t.Any]:
    last = choice.entries[-1].manifest
    point = _manifest.format_time(choice.recovery_point)
    if request.paths:
        replaces: t.Any = [printable(b"/".join(parts)) for parts in replaced] or None
    else:
        replaces = None if target.empty else target.path
    return {
        "artifacts": [entry.name for entry in choice.entries],
        "branch": last.branch,
        "content": request.content,
        "set": choice.set_number or None,
        "recovery_point": point,
        "newest": _manifest.format_time(choice.newest),
        "unreadable": last.document["problems"]["unreadable"],
        "entries": last.document["tree"]["entries"],
        "bytes": last.document["tree"]["bytes"],
        "paths": list(request.paths),
        "target": target.path,
        "replaces": replaces,
        "holds_backups": request.is_live,
        "lost": f"Every change after {point} (UTC) is not in these artifacts.",
        "skipped": dict(choice.skipped),
    }


def _warn(
    request: FileRestoreRequest, catalogue: _catalog.Catalogue, choice: FileChoice, leftovers: t.Sequence[str]
) -> list[str]:
    warnings = [
        f"An earlier restore was killed after it had replaced the target; what had stood there is in {path} now."
        for path in leftovers
    ]
    if choice.without_index:
        reasons = "; ".join(f"{name}: {why}" for name, why in choice.without_index.items())
        warnings.append(f"The files were not compared with their index, which cannot be used ({reasons}).")
    if any(entry.manifest.adopted_moment is not None for entry in choice.entries):
        warnings.append(
            f"{choice.entries[0].name} was taken over from an older cron line: nothing says which files it must hold."
        )
    last = choice.entries[-1]
    missing = {word: last.manifest.document["problems"][word] for word in ("unreadable", "vanished")}
    if any(missing.values()):
        named = " and ".join(f"{count} paths were {word}" for word, count in missing.items() if count)
        warnings.append(
            f"{named} when {last.name} was made: they are missing here, or as an older artifact has them. Its index "
            "names them; another set may hold them."
        )
    newer = [f"{name}: {why}" for name, why in choice.skipped.items()]
    kinds = _file_choose.KINDS[request.content]
    for name, why in catalogue.problems.items():
        parsed = _names.parse_name(name.split(_names.MANIFEST_SUFFIX)[0])
        if parsed is not None and parsed.kind in kinds:
            newer.append(f"{name}: {why}")
    for kind in kinds:
        given = _sequence.last_given(request.state_path, branch=request.branch, kind=kind)
        highest = catalogue.last_sequence(kind, branch=request.branch)
        if given > highest:
            newer.append(f"this host made a {kind} number {given}, the highest here is {highest}")
    if request.to == LATEST and newer:
        point = _manifest.format_time(choice.recovery_point)
        warnings.append(
            f"The restored {request.content} may not be the newest ({'; '.join(newer)}). Everything after {point} "
            "(UTC) is not in them; look for newer ones at another place."
        )
    return warnings


def _unpack_all(
    request: FileRestoreRequest, choice: FileChoice, staging: Staging, selection: Selection | None
) -> _unpack.Unpacked:
    while True:
        unpacked = _unpack.unpack_chain(
            choice.entries,
            staging.tree,
            identity=request.identity,
            scratch=staging.path,
            selection=selection,
            without_index=choice.without_index,
        )
        if selection is None:
            return unpacked
        if not selection.grow():
            break
        staging.restart()
    selection.require_all()
    for parts in selection.unwanted():
        _survey.remove_path(staging.tree, parts)
    return unpacked


def _give_top_attributes(request: FileRestoreRequest, target: FileTarget, staging: Staging) -> None:
    """Config has no top of its own: it takes over what the target was."""
    if request.content == "config" and target.status is not None:
        if os.geteuid() == 0:
            os.fchown(staging.tree, target.status.st_uid, target.status.st_gid)
        os.fchmod(staging.tree, stat.S_IMODE(target.status.st_mode))


def _examine(
    request: FileRestoreRequest,
    target: FileTarget,
    staging: Staging,
    choice: FileChoice,
    selection: Selection | None,
) -> None:
    survey = _survey.survey(staging.tree, top=os.fsencode(target.path))
    if survey.outward_count and (request.outward_links or _OUTWARD_LINKS[request.content]) == REFUSE:
        more = survey.outward_count - len(survey.outward)
        links = ", ".join([*survey.outward, *([f"and {more} more"] if more else [])])
        raise BackupError(
            f"Failed to restore the links {links}: they lead out of {target.path}, where whoever follows them would "
            "find other files. Nothing was changed on the target. If they are meant, restore with outward_links: keep.",
            reason="outward_links",
        )
    if selection is None and _is_counted(choice.entries[-1]):
        expected = int(choice.entries[-1].manifest.document["tree"]["entries"])
        found = survey.entries + 1
        if found != expected:
            raise BackupError(
                f"Failed to restore {choice.entries[-1].name}: the tree has {found} entries, its manifest says "
                f"{expected}. Nothing was changed on the target. Use another set.",
                reason="index_mismatch",
            )


def _is_counted(entry: Entry) -> bool:
    """True when its manifest says how many entries the tree has: not what an entry that could not be read became."""
    problems = entry.manifest.document["problems"]
    return (
        entry.manifest.kind != "config"
        and entry.manifest.adopted_moment is None
        and not problems["vanished"]
        and not problems["unreadable"]
    )


def _sync(staging: Staging) -> None:
    try:
        _dirfd.sync_filesystem(staging.tree)
    except OSError as exc:
        raise BackupError(
            f"Failed to write the restored files to the disk: {exc.strerror}. Nothing was changed on the target. Check "
            "the disk.",
            reason="restore_failed",
        ) from exc


__all__ = ("KEEP", "REFUSE", "FileRestoreOutcome", "FileRestoreRequest", "report_of_file_restore", "restore_files")
