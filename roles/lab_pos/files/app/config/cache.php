<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return [
    'default' => 'file',
    'stores' => ['file' => ['driver' => 'file', 'path' => storage_path('framework/cache/data')]],
    'prefix' => 'larapee',
];
