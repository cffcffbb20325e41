<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Providers;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider as ServiceProvider;
use Illuminate\Support\Facades\Route;

class RouteServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->routes(function (): void {
            Route::prefix('api/v1')->group(base_path('routes/api.php'));
        });
    }
}
