#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_app
short_description: Start the application of a drill on what was restored, cut off from everything
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Copies a release into the directory of a drill, without its storage, its settings and what was cached of them, and
    gives it the restored uploads and the restored C(.env), with O(settings) and the throwaway server laid over.
  - Makes a network that has nothing but a loopback, tries whether anything can be reached from it, this host included,
    and fails when it can.
  - Starts O(serve) there. Other modules run there with what it returns as their C(ansible_python_interpreter).
  - All of it goes with the drill; M(larapee.backup.drill_server) ends it.
attributes:
  check_mode:
    support: full
    description: Nothing is copied or started.
  diff_mode:
    support: none
    description: Settings are secrets.
  idempotent:
    support: none
    description: It begins once in a drill.
options:
  path:
    description: The directory of this drill, as M(larapee.backup.drill_server) returned it.
    type: path
    required: true
    version_added: 0.1.0
  release:
    description: The directory of the application that is deployed on this host.
    type: path
    required: true
    version_added: 0.1.0
  env_file:
    description: The restored C(.env).
    type: path
    required: true
    version_added: 0.1.0
  settings:
    description: What goes over it, by name. Mail, queue, broadcast, cache and session are set off or to files anyway.
    type: dict
    default: {}
    version_added: 0.1.0
  socket:
    description: The socket of the throwaway server.
    type: path
    required: true
    version_added: 0.1.0
  db_name:
    description: The restored database on it.
    type: str
    required: true
    version_added: 0.1.0
  serve:
    description: The command that answers requests, run in the copy; nothing is served without it.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  lifetime:
    description: The seconds after which that network ends by itself, whatever became of the drill.
    type: int
    default: 14400
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Start the application
  larapee.backup.drill_app:
    path: "{{ begun.drill.path }}"
    release: /var/www
    env_file: "{{ begun.drill.path }}/config/var/www/.env"
    settings:
      WEBHOOK_URL: ""
    socket: "{{ begun.drill.socket }}"
    db_name: "{{ begun.drill.db_name }}"
    serve: [php, -S, 127.0.0.1:8080, -t, public, public/index.php]
"""

RETURN = r"""
app:
  description: The C(path) of the copy, and the C(interpreter) with which modules run in its network.
  type: dict
  returned: when it was started
reason:
  description: Why it failed, as a stable word, such as V(not_cut).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._drill_app import DrillAppRequest, begin
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "release": {"type": "path", "required": True},
            "env_file": {"type": "path", "required": True},
            "settings": {"type": "dict", "default": {}},
            "socket": {"type": "path", "required": True},
            "db_name": {"type": "str", "required": True},
            "serve": {"type": "list", "elements": "str", "default": []},
            "lifetime": {"type": "int", "default": 14400},
        },
        supports_check_mode=True,
    )
    options = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        app = begin(
            DrillAppRequest(
                path=options["path"],
                release=options["release"],
                env_file=options["env_file"],
                settings={name: "" if value is None else str(value) for name, value in options["settings"].items()},
                socket=options["socket"],
                database=options["db_name"],
                serve=options["serve"],
                lifetime=options["lifetime"],
            )
        )
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=True, app=app)


if __name__ == "__main__":
    main()
