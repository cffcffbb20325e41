<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return ['driver' => 'bcrypt', 'bcrypt' => ['rounds' => 10]];
