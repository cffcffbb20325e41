<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return [
    'default' => 'local',
    'disks' => [
        'local' => ['driver' => 'local', 'root' => storage_path('app')],
        'public' => ['driver' => 'local', 'root' => storage_path('app/public'), 'visibility' => 'public'],
    ],
    'links' => [public_path('storage') => storage_path('app/public')],
];
