# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of one branch at a place offsite: its manifests and signatures, kept as files at central.

Of many versions of a manifest the one counts whose signature verifies, and it stays that version: a version never
changes. Of an artifact the one counts whose bytes are those of the manifest. That is known of it when central stored
it, when the place vouches for its checksum, or when it was read; and it is read again from time to time.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import typing as t

from . import _bundle, _clock, _dirfd, _estate, _intact, _io, _ledger, _manifest, _names, _proofs, _shelf
from ._catalog import Catalogue, Entry
from ._store._base import Listing, Store, UnreadableError, Version, holds

_MEMORY = ".versions.json"
_LARGEST_SMALL = 4 * _io.BLOCK_SIZE
_MOST_VERSIONS = 8

Fact = dict[str, t.Any]


class Mirror:
    """``directory`` has the manifests, and retention's ledger where the place has one; ``problems`` as a catalogue.

    ``stored`` is what central remembers to have stored, by key. ``read_days``: each byte is read within so many.
    ``bundles``: whether tars of increments count. What was there before and is gone is a problem, unless retention's
    ledger says so, or its lock is over.
    """

    def __init__(
        self,
        store: Store,
        directory: str,
        *,
        branch: str,
        allowed_signers: str,
        stored: t.Mapping[str, t.Mapping[str, t.Any]],
        read_days: int,
        bundles: bool,
    ) -> None:
        self.store = store
        self.directory = directory
        self.problems: dict[str, str] = {}
        self.read_bytes = 0
        self._branch = branch
        self._allowed_signers = allowed_signers
        self._stored = stored
        self._read_days = read_days
        self._bundles = bundles
        self._signers = _proofs.signers(allowed_signers, branch)
        self._now = _clock.now()
        self._prefix = f"{branch}/"
        self._listed = Listing(store, self._prefix)
        _io.ensure_directory(directory)
        self._memory = _shelf.recall(os.path.join(directory, _MEMORY), store.url)
        self._ledger = _ledger.Ledger(branch=branch)
        self._origin: dict[str, str] = {}
        self._kept = False
        try:
            self._follow()
        finally:
            self.save()

    def catalogue(self) -> Catalogue:
        return _estate.read_place(self.directory)

    def save(self) -> None:
        """What is remembered to be here is here after a power cut, too."""
        if self._kept:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _dirfd.sync_filesystem(descriptor)
            finally:
                os.close(descriptor)
            self._kept = False
        document = {"schema": 1, "url": self.store.url, "objects": self._memory}
        _io.write_json(os.path.join(self.directory, _MEMORY), document, durable=False)

    def check(self, entry: Entry) -> bool:
        """Raise NotIntactError unless *entry* is at the place, its bytes as recorded; True when they were read now."""
        if entry.name in self._origin:
            return bool(self._memory[self._origin[entry.name]]["proven_at"] == self._stamp)
        read = [self._check_object(name, size, sha256) for name, size, sha256 in large_files(entry)]
        return any(read)

    def versions_of(self, entry: Entry) -> list[Version]:
        """Those that make up *entry*: its own, or those of the bundle that holds it."""
        bundle = self._origin.get(entry.name)
        if bundle is not None:
            names = [bundle, bundle + _bundle.CONTENTS_SUFFIX]
        else:
            names = [name for name, _size, _sha256 in large_files(entry)]
            names += [entry.name + _names.SIGNATURE_SUFFIX, entry.name + _names.MANIFEST_SUFFIX]
        found = (self._known(name) or next(iter(self._listed.versions(self._prefix + name)), None) for name in names)
        return [each for each in found if each is not None]

    def locked_until(self, version: Version, *, again: bool = False) -> dt.datetime | None:
        """Until when *version* is locked, as it was read back once: such a lock only grows; *again*: ask now."""
        name = version.key[len(self._prefix) :]
        fact = self._memory.setdefault(name, {"version": version.version, "size": version.size, "sha256": ""})
        known = fact.get("locked_until") if fact["version"] == version.version else None
        if known is not None and not again:
            return _manifest.parse_time(known)
        found = self.store.locked_until(version)
        if fact["version"] == version.version:
            fact["locked_until"] = None if found is None else _manifest.format_time(found)
        return found

    def remove(self, name: str) -> None:
        """Remove all versions of the object *name* for good."""
        for version in list(self._listed.versions(self._prefix + name)):
            self.store.delete(version)
            self._listed.remove(version)

    @property
    def _stamp(self) -> str:
        return _manifest.format_time(self._now)

    def _names(self) -> list[str]:
        return sorted(key[len(self._prefix) :] for key in self._listed)

    def _follow(self) -> None:
        """Have the manifests that are there, and no others."""
        wanted = set()
        for name in self._names():
            if self._bundles and _bundle.NAME.fullmatch(name):
                wanted |= self._follow_bundle(name)
        for name in self._names():
            artifact = name[: -len(_names.MANIFEST_SUFFIX)]
            # Whoever has the writer's key can store anything under any name.
            if not name.endswith(_names.MANIFEST_SUFFIX) or _names.parse_name(artifact) is None:
                continue
            if self._is_here(artifact, name) or self._take(artifact):
                self._origin.pop(artifact, None)
                wanted.add(artifact)
        gone = self._gone(wanted)
        for artifact, facts in gone.items():
            self.problems[artifact] = "it was there, and is gone"
            self._memory[artifact + _names.MANIFEST_SUFFIX] = facts
        known = {name: fact for name, fact in self._memory.items() if self._known(name) is not None}
        self._memory = {**known, **{name + _names.MANIFEST_SUFFIX: facts for name, facts in gone.items()}}

    def _gone(self, wanted: t.Container[str]) -> dict[str, Fact]:
        """What nobody was to remove, with what is known of it; the manifests of all that is gone are removed here."""
        with contextlib.suppress(_ledger.LedgerError):
            self._ledger = _ledger.read_ledger(self.directory, branch=self._branch)
        found = {}
        for name, fact in self._memory.items():
            artifact = name[: -len(_names.MANIFEST_SUFFIX)]
            if "gone" in fact and artifact not in wanted and not self._is_excused(artifact, fact):
                found[artifact] = fact
        for name in os.listdir(self.directory):
            artifact = name[: -len(_names.MANIFEST_SUFFIX)]
            if not name.endswith(_names.MANIFEST_SUFFIX) or artifact in wanted:
                continue
            origin = name if name in self._memory else self._held_by(artifact)
            # What is wrong with one that is there is told elsewhere.
            if not self._listed.versions(self._prefix + origin):
                fact = self._last_seen(name, self._memory.get(origin, {}))
                if fact and not self._is_excused(artifact, fact):
                    found[artifact] = fact
            self._drop(artifact)
        return found

    def _last_seen(self, name: str, known: Fact) -> Fact:
        """Of a manifest that is gone, what is to be remembered; nothing of one that cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            manifest = _manifest.parse_manifest(_io.read_small(os.path.join(self.directory, name)))
            absent = {"version": "", "size": -1, "sha256": "", "locked_until": known.get("locked_until")}
            return {**absent, "gone": [manifest.kind, manifest.sequence]}
        return {}

    def _held_by(self, artifact: str) -> str:
        """The bundle that held *artifact*."""
        return next((name for name, fact in self._memory.items() if artifact in fact.get("artifacts", ())), "")

    def _is_excused(self, artifact: str, fact: Fact) -> bool:
        kind, sequence = fact["gone"]
        until = fact.get("locked_until")
        over = until is not None and _manifest.parse_time(until) < self._now
        return over or self._ledger.has_removed(artifact, kind=kind, sequence=sequence)

    def _is_here(self, artifact: str, name: str) -> bool:
        files = (name, artifact + _names.SIGNATURE_SUFFIX)
        if any(self._known(each) is None for each in files):
            return False
        try:
            raw, signature = (_io.read_small(os.path.join(self.directory, each)) for each in files)
        except (OSError, ValueError):
            return False
        return bool(self._memory[name]["sha256"] == self._judged(raw, signature))

    def _judged(self, raw: bytes, signature: bytes) -> str:
        """Of all that the judgement of a signature depends on: it stands as long as none of that changes."""
        return _proofs.fingerprint(self._branch, self._signers, raw, signature)

    def _take(self, artifact: str) -> bool:
        """Keep the newest version of a manifest that its signature proves; without one it is a problem."""
        manifest, signature = artifact + _names.MANIFEST_SUFFIX, artifact + _names.SIGNATURE_SUFFIX
        # Whoever has the writer's key can put any number of versions over it.
        signatures = [
            (other, self._small(other)) for other in self._listed.versions(self._prefix + signature)[:_MOST_VERSIONS]
        ]
        why = "its signature is missing"
        for version in self._listed.versions(self._prefix + manifest)[:_MOST_VERSIONS]:
            raw = self._small(version)
            for other, signed in signatures:
                why = self._why_not(artifact, raw, signed)
                if not why:
                    self._keep(artifact, raw, signed)
                    self._note(manifest, version, self._judged(raw, signed))
                    self._note(signature, other, "")
                    return True
        self.problems[manifest] = why
        return False

    def _why_not(self, artifact: str, raw: bytes, signature: bytes) -> str:
        try:
            manifest = _manifest.parse_manifest(raw)
            if manifest.artifact != artifact:
                return f"it describes {manifest.artifact}"
            _intact.check_signature(
                manifest, raw, signature, branch=self._branch, allowed_signers=self._allowed_signers
            )
        except (ValueError, _intact.NotIntactError) as exc:
            return str(exc)
        return ""

    def _keep(self, artifact: str, raw: bytes, signature: bytes) -> None:
        self._kept = True
        path = os.path.join(self.directory, artifact)
        _io.write_file(path + _names.SIGNATURE_SUFFIX, signature, durable=False)
        _io.write_file(path + _names.MANIFEST_SUFFIX, raw, durable=False)

    def _drop(self, artifact: str) -> None:
        for suffix in (_names.MANIFEST_SUFFIX, _names.SIGNATURE_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, artifact + suffix))

    def _small(self, version: Version) -> bytes:
        if version.size > _LARGEST_SMALL:
            return b""
        try:
            with self.store.open(version) as stream:
                return stream.read(_LARGEST_SMALL)
        except UnreadableError:
            return b""

    def _follow_bundle(self, name: str) -> set[str]:
        """The artifacts of a bundle, which is read when it is new or its time has come."""
        version = self._known(name)
        if version is not None and not self._is_due(name) and self._are_here(name):
            held = set(self._memory[name]["artifacts"])
        else:
            held = self._read_bundle(name, version)
        self._origin.update(dict.fromkeys(held, name))
        return held

    def _are_here(self, name: str) -> bool:
        fact = self._memory[name]
        if fact.get("signers") != self._judged(b"", b""):
            return False
        paths = (each + _names.MANIFEST_SUFFIX for each in fact.get("artifacts", [""]))
        return all(os.path.lexists(os.path.join(self.directory, each)) for each in paths)

    def _read_bundle(self, name: str, known: Version | None) -> set[str]:
        """Of several versions the one that holds most: whoever has the writer's key can put a lesser one before it."""
        before = set(self._memory.get(name, {}).get("artifacts", ()))
        best: tuple[set[str], dict[str, str]] = set(), {}
        every: set[str] = set()
        for version in [known] if known is not None else self._listed.versions(self._prefix + name):
            opened = _Unpacked(self._take_from_bundle)
            try:
                with self.store.open(version) as stream:
                    _members, sha256 = _bundle.read(stream, opened.take)
            except UnreadableError:
                continue
            self.read_bytes += version.size
            every |= opened.held
            if len(opened.held) > len(best[0]):
                best = opened.held, opened.wrong
                self._note(name, version, sha256, read=True)
        held, wrong = best
        for each in every - held - before - self._origin.keys():
            self._drop(each)
        self.problems.update({each: f"{name} holds it no more" for each in before - held})
        self.problems.update(wrong)
        if held:
            # Of what is lost it stays known that it was there.
            self._memory[name].update(artifacts=sorted(held | before), signers=self._judged(b"", b""))
            self.save()
        else:
            self.problems[name] = "it holds no artifact as it was stored"
        return held

    def _take_from_bundle(self, artifact: str, raw: bytes, signature: bytes, members: t.Mapping[str, str]) -> str:
        """Keep a manifest when all that it speaks of is there as recorded; else say what is wrong with it."""
        why = self._why_not(artifact, raw, signature)
        if not why and not _has_all(Entry("", _manifest.parse_manifest(raw), raw), members):
            why = "the bytes in its bundle are not those of its manifest"
        if not why:
            self._keep(artifact, raw, signature)
        return why

    def _check_object(self, name: str, size: int, sha256: str) -> bool:
        version = self._known(name)
        if version is not None and self._memory[name]["sha256"] == sha256 and not self._is_due(name):
            return False
        candidates = [each for each in self._listed.versions(self._prefix + name) if each.size == size]
        for each in sorted(candidates, key=lambda each: each != version):
            if version is None and self._is_vouched_for(each, sha256):
                self._note(name, each, sha256)
                return False
            self.read_bytes += each.size
            if holds(self.store, each, sha256):
                self._note(name, each, sha256, read=True)
                return True
        self._memory.pop(name, None)
        if not self._listed.versions(self._prefix + name):
            raise _intact.NotIntactError(f"{name} is missing")
        for refuted in candidates[:1]:
            # Nobody vouches for it any more, not even central that stored it: it is read each night until it is mended.
            self._note(name, refuted, "")
        raise _intact.NotIntactError(f"the bytes of {name} are not those of its manifest")

    def _is_vouched_for(self, version: Version, sha256: str) -> bool:
        fact = self._stored.get(version.key, {})
        ours = (fact.get("version"), fact.get("size"), fact.get("sha256")) == (version.version, version.size, sha256)
        return ours or self.store.attested(version) == sha256

    def _known(self, name: str) -> Version | None:
        fact = self._memory.get(name)
        return None if fact is None else self._listed.find(self._prefix + name, fact)

    def _note(self, name: str, version: Version, sha256: str, *, read: bool = False) -> None:
        fact = self._memory.get(name, {})
        if (fact.get("version"), fact.get("sha256")) != (version.version, sha256):
            fact = {"version": version.version, "size": version.size, "sha256": sha256, "proven_at": self._stamp}
        self._memory[name] = {**fact, "proven_at": self._stamp} if read else fact

    def _is_due(self, name: str) -> bool:
        """Counted from when it was proven first, by whatever means."""
        try:
            at = _manifest.parse_time(self._memory[name]["proven_at"])
        except (KeyError, TypeError, ValueError):
            return True
        return _proofs.is_due(name, at, now=self._now, days=self._read_days)


class _Unpacked:
    """Of one version of a bundle: the artifacts that are held, and what is wrong with others."""

    def __init__(self, take: t.Callable[[str, bytes, bytes, t.Mapping[str, str]], str]) -> None:
        self.held: set[str] = set()
        self.wrong: dict[str, str] = {}
        self._take = take

    def take(self, artifact: str, raw: bytes, signature: bytes, members: t.Mapping[str, str]) -> None:
        if _names.parse_name(artifact) is None:
            return
        why = self._take(artifact, raw, signature, members)
        if why:
            self.wrong[artifact] = why
        else:
            self.held.add(artifact)


def large_files(entry: Entry) -> list[tuple[str, int, str]]:
    """Name, size and SHA-256 of the artifact and of its companion."""
    found = [(entry.name, entry.manifest.size, entry.manifest.sha256)]
    if entry.companion_path is not None:
        facts = entry.manifest.document["companion"]
        found.append((os.path.basename(entry.companion_path), facts["size"], facts["sha256"]))
    return found


def _has_all(entry: Entry, members: t.Mapping[str, str]) -> bool:
    return all(members.get(name) == sha256 for name, _size, sha256 in large_files(entry))


__all__ = ("Mirror", "large_files")
