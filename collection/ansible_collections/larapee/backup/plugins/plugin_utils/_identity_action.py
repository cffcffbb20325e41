# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins that carry the restorer's identity from the controller to the target, in memory only.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_MAXIMUM_BYTES = 64 * 1024


class IdentityAction(ActionBase):  # type: ignore[misc]  # ansible-core ships no type information
    """Runs the module of the same name, with ``age_identity_file`` (controller) replaced by its text."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        path = arguments.pop("age_identity_file", None)
        if arguments.get("age_identity"):
            raise AnsibleActionFail(
                "Failed to take the identity: age_identity must not be written into a playbook. Give age_identity_file."
            )
        if path:
            self._require_memory_only()
            arguments["age_identity"] = _read_identity(str(path))
        result: dict[str, t.Any] = self._execute_module(
            module_name=self._task.action, module_args=arguments, task_vars=task_vars
        )
        return result

    def _require_memory_only(self) -> None:
        if constants.DEFAULT_DEBUG:
            raise AnsibleActionFail(
                "Failed to hand over the identity: in debug mode Ansible would print it with the module's arguments. "
                "Unset ANSIBLE_DEBUG (and debug in ansible.cfg)."
            )
        # Kept files switch pipelining off, so this comes first: else the message would tell the wrong way out.
        if constants.DEFAULT_KEEP_REMOTE_FILES or self._task.async_val:
            raise AnsibleActionFail(
                "Failed to hand over the identity: with kept remote files or async Ansible would write it to the "
                "target's disk. Unset ANSIBLE_KEEP_REMOTE_FILES and async."
            )
        if not self._is_pipelining_enabled("new"):
            raise AnsibleActionFail(
                "Failed to hand over the identity: without pipelining Ansible would write it to the target's disk. Set "
                "ansible_pipelining: true for the target (or pipelining = true in ansible.cfg)."
            )


def _read_identity(path: str) -> str:
    path = os.path.expanduser(path)
    try:
        if os.stat(path).st_mode & 0o077:
            raise AnsibleActionFail(f"Failed to use the identity {path}: others can read it. Run chmod 600 on it.")
        with open(path, encoding="utf-8") as handle:
            return handle.read(_MAXIMUM_BYTES)
    except (OSError, UnicodeDecodeError) as exc:
        raise AnsibleActionFail(
            f"Failed to read the identity {path} on the machine where the playbook was started: {exc}."
        ) from exc


__all__ = ("IdentityAction",)
