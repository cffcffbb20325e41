# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_runs
type: notification
short_description: Leave a row in backup_runs for every run
version_added: 0.1.0
description:
  - Records each run of a playbook, one row for each branch, first in a local journal, then in the table C(backup_runs).
  - Every end is recorded, be it success, a failed task, an unreachable host, no host at all, a signal or an
    interruption. A run that was killed without a word becomes a failed row as soon as the next run, or
    C(larapee-backup journal reconcile), finds its lock free.
  - Roles speak to it through M(ansible.builtin.set_stats), key C(larapee_backup), then the branch's code. No task
    result is stored; of a failed task only the host, the name of the task and the first line of the message are.
  - A playbook that C(ansible-playbook) cannot parse never loads a callback. Only a launcher such as
    C(larapee-backup run) can record it.
requirements:
  - enabled by name, with C(callbacks_enabled = larapee.backup.backup_runs) in C(ansible.cfg), or with
    E(ANSIBLE_CALLBACKS_ENABLED)
  - PyMySQL, where the table is in MariaDB or MySQL
notes:
  - The location of the table and of the journal are read from C(/etc/larapee-backup/config.yml), keys C(runs_url) and
    C(state_path). E(LARAPEE_BACKUP_CONFIG) names another file, E(LARAPEE_BACKUP_RUNS_URL) and
    E(LARAPEE_BACKUP_STATE_DIR) go before what it says.
  - In the path of C(runs_url) a C(%) begins an encoded byte, as in every URL, so C(%), C(?), C(#) and control
    characters are written as C(%25), C(%3F), C(%23), C(%0A) and the like.
author:
  - LaraPee contributors (@larapee)
"""

import re
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Failure, PlaybookRun, one_line

_COLLECTION_PLAYBOOK = re.compile(r"/ansible_collections/([^/]+)/([^/]+)/playbooks/(.+)\.ya?ml$")
_TEMPLATE_MARKS = ("{{", "{%", "{#")


class CallbackModule(CallbackBase):
    """Tells PlaybookRun what happens, and nothing else."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "larapee.backup.backup_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run: PlaybookRun | None = None
        self._play: Any = None
        self._item_messages: dict[tuple[str, str], str] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        earlier = self._run
        self._run = PlaybookRun(
            playbook=_playbook_name(str(playbook._file_name)),
            check_mode=bool(context.CLIARGS.get("check")),
            warn=lambda message: self._display.warning(f"larapee.backup.backup_runs: {message}"),
        )
        # One command may name several playbooks; the launcher's id belongs to the first.
        self._run.start(fresh_id=earlier is not None)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._run is not None:
            self._run.on_task(str(task.get_name()))

    def v2_playbook_on_cleanup_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        for part in (result._result, *_loop_results(result._result)):
            stats = part.get("ansible_stats")
            if self._run is not None and isinstance(stats, dict) and isinstance(stats.get("data"), dict):
                self._run.on_stats_data(result._host.get_name(), stats["data"])

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._item_messages.setdefault((result._host.get_name(), result._task._uuid), _message(result._result))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        message = self._item_messages.pop((result._host.get_name(), result._task._uuid), None)
        if not ignore_errors:
            self._note(result, message or _message(result._result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not getattr(result._task, "ignore_unreachable", False):
            self._note(result, _message(result._result), unreachable=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._run is not None:
            failed = {host for counts in (stats.failures, stats.dark) for host, count in counts.items() if count}
            rescued = {host for host, count in stats.rescued.items() if count}
            self._run.finish(processed=stats.processed, failed=failed, rescued=rescued)

    def _note(self, result: Any, message: str, *, unreachable: bool = False) -> None:
        if self._run is None:
            return
        details = {name: result._result.get(name) for name in ("reason", "holder")}
        words = {name: one_line(value) for name, value in details.items() if isinstance(value, str)}
        failure = Failure(
            host=result._host.get_name(),
            task=str(result._task.get_name()),
            message=message,
            unreachable=unreachable,
            reason=words.get("reason"),
            holder=words.get("holder") or _holder(details["holder"]),
            branch=self._plain_variable(result._host, "larapee_backup_branch"),
            kind=self._plain_variable(result._host, "larapee_backup_kind"),
        )
        self._run.on_failure(failure)

    def _plain_variable(self, host: Any, name: str) -> str | None:
        """What the inventory or the play says of a host, for one that fails before the guard; never a template."""
        if self._play is None:
            return None
        value = self._play.get_variable_manager().get_vars(play=self._play, host=host).get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            return None
        if re.fullmatch(r"\{\{\s*inventory_hostname\s*\}\}", value):
            return str(host.get_name())
        return None if any(mark in value for mark in _TEMPLATE_MARKS) else str(value).strip() or None


def _playbook_name(path: str) -> str:
    match = _COLLECTION_PLAYBOOK.search(path)
    return ".".join((match[1], match[2], match[3].replace("/", "."))) if match else path


def _holder(facts: Any) -> str | None:
    """Who holds a lock, of which the modules tell host, process, run and time."""
    if not isinstance(facts, dict):
        return None
    return one_line(", ".join(f"{name} {value}" for name, value in sorted(facts.items()))) or None


def _loop_results(result: Any) -> list[Any]:
    results = result.get("results")
    return [item for item in results if isinstance(item, dict)] if isinstance(results, list) else []


def _message(result: Any) -> str:
    if result.get("censored"):
        return "The task failed, and its message is hidden (no_log)"
    code = result.get("rc")
    # A module that was killed says nothing; the shell that ran it adds 128 to the number of the signal.
    if "module_stdout" in result and isinstance(code, int) and 128 < code < 160:
        return (
            f"Failed to finish: the module was killed by signal {code - 128}. "
            "If nobody did that, look for the out-of-memory killer; then start the run again."
        )
    return one_line(result.get("msg", "")) or "The task failed without a message"
