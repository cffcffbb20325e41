<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return ['driver' => 'array', 'lifetime' => 120, 'cookie' => 'larapee', 'path' => '/', 'lottery' => [0, 1]];
