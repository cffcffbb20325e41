<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

use App\Http\Controllers\CatalogueController;
use App\Http\Controllers\HealthController;
use App\Http\Controllers\OrderController;
use App\Http\Controllers\SessionController;
use App\Http\Controllers\SlipController;
use Illuminate\Auth\Middleware\Authenticate;
use Illuminate\Routing\Middleware\ThrottleRequests;
use Illuminate\Support\Facades\Route;

Route::get('health', HealthController::class);
Route::post('auth/login', [SessionController::class, 'login'])->middleware(ThrottleRequests::class.':30,1');

Route::middleware(Authenticate::class.':api')->group(function (): void {
    Route::get('me', [SessionController::class, 'me']);
    Route::get('variants', CatalogueController::class);
    Route::post('orders', [OrderController::class, 'store']);
    Route::get('orders/{invoice}', [OrderController::class, 'show']);
    Route::delete('orders/{invoice}', [OrderController::class, 'destroy']);
    Route::post('uploads', [SlipController::class, 'store']);
});
