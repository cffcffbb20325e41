#!/usr/bin/env bash
# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Leaves in a place what old cron lines left, made by the stock tools at 03:00 in Berlin; the third file is cut short.
#   cron.sh DIRECTORY UPLOADS
set -euo pipefail

mkdir -m 0700 "$1"
cd "$1"
gzip >db-20260110-0300.sql.gz <<'DUMP'
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: larapos
-- ------------------------------------------------------
-- Server version	10.11.6-MariaDB-0+deb12u1

CREATE TABLE `orders` (
  `id` int(11) NOT NULL
) ENGINE=InnoDB;
INSERT INTO `orders` VALUES (1),(2);

-- Dump completed on 2026-01-10  3:00:02
DUMP
tar --create --zstd --file=public-uploads-20260110-0300.tar.zst --directory="$2" .
zcat db-20260110-0300.sql.gz | head --lines=8 | gzip >db-20260109-0300.sql.gz
touch --date='2026-01-10 02:01:00 UTC' -- *
