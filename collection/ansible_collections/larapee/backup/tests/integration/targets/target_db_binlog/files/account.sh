#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the account that reads binary logs and nothing else, and its option file.
#   account.sh DIRECTORY SOCKET
set -euo pipefail
umask 077

directory=$1 socket=$2
mariadb --no-defaults --socket="$socket" --user=root <<'SQL'
CREATE USER 'larapee-binlog'@'localhost' IDENTIFIED BY 'binlog #1';
GRANT REPLICATION SLAVE, BINLOG MONITOR, RELOAD ON *.* TO 'larapee-binlog'@'localhost';
SQL
printf '[client]\nuser = "larapee-binlog"\npassword = "binlog #1"\nsocket = "%s"\n' "$socket" >"$directory/binlog.cnf"
