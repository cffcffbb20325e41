#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_step
short_description: Note how far the restore of a shop has come
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Keeps the record of a restore in C(restores/BRANCH.json) below O(state_path), so that one that was cut off goes
    on after the last step that ended well, and so that its row tells for how long the shop did not sell.
attributes:
  check_mode:
    support: full
    description: Reads the record, and writes nothing.
  diff_mode:
    support: none
    description: It keeps a record only.
  idempotent:
    support: none
    description: Each call notes a moment.
extends_documentation_fragment:
  - larapee.backup.run
options:
  branch:
    description: The branch that is restored.
    type: str
    required: true
    version_added: 0.1.0
  action:
    description:
      - V(start) finds the record of a restore of the same O(wish) that has not ended, or makes a new one.
      - V(begin) and V(end) note a O(step). V(end) with O(why) notes that it failed.
      - V(close) notes that the restore has ended, V(read) gives the record.
    type: str
    choices: [start, begin, end, close, read]
    required: true
    version_added: 0.1.0
  step:
    description: The step's name.
    type: str
    default: ''
    version_added: 0.1.0
  wish:
    description: What is to be restored and where to. A restore goes on only with the same.
    type: dict
    default: {}
    version_added: 0.1.0
  anew:
    description: Begin with the first step, whatever was done.
    type: bool
    default: false
    version_added: 0.1.0
  why:
    description: Why the step failed; empty when it did not.
    type: str
    default: ''
    version_added: 0.1.0
  facts:
    description: What the step found out, and a rollback has to know.
    type: dict
    default: {}
    version_added: 0.1.0
  remember:
    description: With V(begin), directories and files by a name, to be found later whatever they are called then.
    type: dict
    default: {}
    version_added: 0.1.0
  outcome:
    description: How the restore ended.
    type: str
    choices: [open, rolled back]
    default: open
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Find out what was done
  larapee.backup.restore_step:
    branch: branch-001
    action: start
    wish:
      source: /srv/copy/branch-001
      to: latest
  register: record
"""

RETURN = r"""
done:
  description: The steps that ended well.
  type: list
  elements: str
  returned: success
begun:
  description: The steps that did begin, also of a start that was given up for this one.
  type: list
  elements: str
  returned: success
facts:
  description: What the steps found out.
  type: dict
  returned: success
report:
  description: What the row tells - restore_id, steps (name, result, seconds, why), down_s, total_s, outcome.
  type: dict
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(another_restore), V(no_restore), V(bad_record).
  type: str
  returned: failure
"""

import contextlib
import typing as t

from ansible_collections.larapee.backup.plugins.module_utils import _file_kept, _restore_record
from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def act(options: t.Mapping[str, t.Any], *, check_mode: bool) -> t.Mapping[str, t.Any] | None:
    """The record after the action; in check mode as it is."""
    state_path, branch, action = options["state_path"], options["branch"], options["action"]
    if action == "start":
        wish, anew = options["wish"], options["anew"]
        return _restore_record.start(state_path, branch=branch, wish=wish, anew=anew, check_mode=check_mode)
    if action == "read" or check_mode:
        return _restore_record.read(state_path, branch=branch)
    if action == "begin":
        facts = {name: _file_kept.identify(path) for name, path in options["remember"].items()}
        return _restore_record.begin(state_path, branch=branch, step=options["step"], facts=facts)
    if action == "end":
        step, why, facts = options["step"], options["why"], options["facts"]
        return _restore_record.end(state_path, branch=branch, step=step, why=why, facts=facts)
    return _restore_record.close(state_path, branch=branch, outcome=options["outcome"])


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branch": {"type": "str", "required": True},
            "action": {"type": "str", "choices": ["start", "begin", "end", "close", "read"], "required": True},
            "step": {"type": "str", "default": ""},
            "wish": {"type": "dict", "default": {}},
            "anew": {"type": "bool", "default": False},
            "why": {"type": "str", "default": ""},
            "facts": {"type": "dict", "default": {}},
            "remember": {"type": "dict", "default": {}},
            "outcome": {"type": "str", "choices": ["open", "rolled back"], "default": "open"},
        }
    )
    options = module.params
    try:
        with contextlib.ExitStack() as stack:
            if not module.check_mode:
                stack.enter_context(
                    _restore_record.locked(options["state_path"], branch=options["branch"], run_id=options["run_id"])
                )
            record = act(options, check_mode=module.check_mode)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(
        changed=options["action"] != "read",
        done=_restore_record.done(record) if record else [],
        begun=_restore_record.begun(record) if record else [],
        facts=record["facts"] if record else {},
        report=_restore_record.report(record) if record else {},
    )


if __name__ == "__main__":
    main()
