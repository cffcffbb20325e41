<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Http\Controllers;

use App\Models\Order;
use App\Sales\TestOrders;
use App\Sales\Till;
use Illuminate\Foundation\Validation\ValidatesRequests;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Http\Response;

class OrderController
{
    use ValidatesRequests;

    private const RULES = [
        'idempotency_key' => 'required|string|max:64',
        'test' => 'boolean',
        'till' => 'integer|between:1,999',
        'method' => 'in:cash,card,transfer,mobile',
        'items' => 'required|array|min:1|max:100',
        'items.*.variant_id' => 'required|integer|exists:product_variants,id',
        'items.*.quantity' => 'required|numeric|min:0.001|max:1000',
    ];

    public function store(Request $request, Till $till): JsonResponse
    {
        $request->merge(['idempotency_key' => $request->header('Idempotency-Key')]);
        $sale = $this->validate($request, self::RULES);
        $order = $till->sell($request->user(), $sale['idempotency_key'], $sale);

        return response()->json($order->answer(), $order->wasRecentlyCreated ? 201 : 200);
    }

    public function show(string $invoice): JsonResponse
    {
        return response()->json(Order::ofInvoice($invoice)->answer());
    }

    public function destroy(Request $request, TestOrders $orders, string $invoice): Response
    {
        $orders->remove(Order::ofInvoice($invoice), $request->user());

        return response()->noContent();
    }
}
