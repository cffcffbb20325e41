<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Http\Controllers;

use App\Models\ProductVariant;
use Illuminate\Http\JsonResponse;

class CatalogueController
{
    public function __invoke(): JsonResponse
    {
        return response()->json(ProductVariant::orderBy('id')->get(['id', 'name', 'price']));
    }
}
