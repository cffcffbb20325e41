# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of one place: what its manifests say, and nothing else.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from . import _io, _ledger, _manifest, _names
from ._errors import BackupError
from ._manifest import Manifest

CHECKSUMS: t.Final = "SHA256SUMS"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One artifact of a place. ``raw`` is what was signed."""

    directory: str
    manifest: Manifest
    raw: bytes

    @property
    def name(self) -> str:
        return self.manifest.artifact

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)

    @property
    def companion_path(self) -> str | None:
        """The encrypted index of an artifact of files, None where there is none."""
        has_one = self.manifest.document.get("companion") is not None
        return os.path.join(self.directory, _names.companion_name(self.name)) if has_one else None

    def signature(self) -> bytes | None:
        """The detached signature, None when there is no file that could be one."""
        try:
            return _io.read_small(self.path + _names.SIGNATURE_SUFFIX, limit=64 * 1024)
        except (FileNotFoundError, ValueError):
            return None


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """``entries`` in order of kind and number; ``problems`` maps a file to what is wrong with it.

    ``unmanaged`` are files with an artifact's name that nobody here ever signed or encrypted, such as an older cron
    line's dumps: not part of the catalogue, and not a fault.
    """

    directory: str
    entries: tuple[Entry, ...]
    problems: t.Mapping[str, str]
    unmanaged: tuple[str, ...]

    def of_kind(self, kind: str, *, branch: str | None = None) -> list[Entry]:
        """Entries of *kind*, oldest first by number (never by clock)."""
        found = [e for e in self.entries if e.manifest.kind == kind and branch in (None, e.manifest.branch)]
        return sorted(found, key=lambda entry: entry.manifest.order)

    def last_sequence(self, kind: str, *, branch: str) -> int:
        return max((entry.manifest.sequence for entry in self.of_kind(kind, branch=branch)), default=0)


def read_catalogue(directory: str) -> Catalogue:
    """Read the catalogue of *directory*; raise BackupError when the directory cannot be read."""
    try:
        names = sorted(os.listdir(directory))
    except OSError as exc:
        raise BackupError(
            f"Failed to read the catalogue of {directory}: {exc.strerror}.", reason="no_directory"
        ) from exc
    # After the names: what was being removed when they were read is on its list, or gone by now.
    on_its_way, damage = _going(directory)
    present = set(names)
    entries = []
    problems: dict[str, str] = {}
    unmanaged = []
    for name in names:
        if name.endswith(_names.MANIFEST_SUFFIX) and not name.startswith("."):
            try:
                entries.append(_read_entry(directory, name))
            except FileNotFoundError:
                continue
            except (ValueError, OSError) as exc:
                problems[_printable(name)] = f"unusable manifest: {exc}"
        else:
            wrong = _without_manifest(name, present)
            if wrong is None or _artifact_of(name) in on_its_way or _vanished(directory, name):
                continue
            if wrong:
                problems[_printable(name)] = wrong
            else:
                unmanaged.append(name)
    problems.update(damage)
    entries.sort(key=lambda entry: (entry.manifest.kind, entry.manifest.order))
    return Catalogue(directory=directory, entries=tuple(entries), problems=problems, unmanaged=tuple(unmanaged))


def _without_manifest(name: str, present: t.Container[str]) -> str | None:
    """What is wrong with a file whose manifest is missing, empty when it is nobody's here; None for any other file."""
    is_signature = name.endswith(_names.SIGNATURE_SUFFIX) and not name.startswith(".")
    artifact = _artifact_of(name)
    if not is_signature and _names.parse_name(name) is None:
        return None
    if artifact + _names.MANIFEST_SUFFIX in present or f".{artifact}.intent" in present:
        return None
    if is_signature:
        return "signature without manifest: the manifest was removed"
    if name.endswith(".age") or name + _names.SIGNATURE_SUFFIX in present:
        return "artifact without manifest: without its manifest it cannot be restored from the catalogue"
    return ""


def _vanished(directory: str, name: str) -> bool:
    return not os.path.lexists(os.path.join(directory, name))


def _artifact_of(name: str) -> str:
    suffix = _names.SIGNATURE_SUFFIX
    return name[: -len(suffix)] if name.endswith(suffix) else name


def _going(directory: str) -> tuple[frozenset[str], dict[str, str]]:
    """What retention was removing: rubbish since its manifest has gone; and what is wrong with retention's ledger."""
    try:
        return _ledger.leftovers(directory), {}
    except _ledger.LedgerError as exc:
        return frozenset(), {_ledger.NAME: f"damaged, retention does nothing: {exc}"}


def _read_entry(directory: str, name: str) -> Entry:
    raw = _io.read_small(os.path.join(directory, name))
    manifest = _manifest.parse_manifest(raw)
    if manifest.artifact + _names.MANIFEST_SUFFIX != name:
        raise _manifest.ManifestError(f"it describes {manifest.artifact}")
    return Entry(directory=directory, manifest=manifest, raw=raw)


def _printable(name: str) -> str:
    """A name of any bytes, fit for a report."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def checksums(entries: t.Iterable[Entry]) -> bytes:
    """What ``sha256sum -c`` reads, derived from the manifests."""
    lines = []
    for entry in entries:
        lines.append(f"{entry.manifest.sha256}  {entry.name}\n")
        if entry.companion_path is not None:
            companion = entry.manifest.document["companion"]
            lines.append(f"{companion['sha256']}  {os.path.basename(entry.companion_path)}\n")
    return "".join(sorted(lines, key=lambda x: x[66:])).encode()


def write_checksums(catalogue: Catalogue) -> None:
    """Derive ``SHA256SUMS`` from the manifests."""
    _io.write_file(os.path.join(catalogue.directory, CHECKSUMS), checksums(catalogue.entries))


__all__ = ("CHECKSUMS", "Catalogue", "Entry", "checksums", "read_catalogue", "write_checksums")
