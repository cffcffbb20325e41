<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Http\Controllers;

use App\Models\AuditLog;
use App\Models\Order;
use Illuminate\Foundation\Validation\ValidatesRequests;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Storage;
use Illuminate\Support\Str;
use Throwable;

class SlipController
{
    use ValidatesRequests;

    public function store(Request $request): JsonResponse
    {
        $given = $this->validate($request, [
            'invoice' => 'required|string|exists:orders,invoice_number',
            'slip' => 'required|file|mimes:png,jpg,pdf|max:8192',
        ]);
        $order = Order::ofInvoice($given['invoice']);
        $slip = $given['slip'];
        $row = [
            'media_type' => $slip->getMimeType(),
            'size' => $slip->getSize(),
            'sha256' => hash_file('sha256', $slip->getRealPath()),
            'uploaded_at' => now()->format('Y-m-d H:i:s.u'),
        ];
        $name = $order->invoice_number.'-'.Str::lower(Str::random(8)).'.'.$slip->extension();
        $row['path'] = $slip->storeAs('slips/'.$order->ordered_at->format('Y/m'), $name, 'public');
        try {
            DB::transaction(static function () use ($order, $row, $request): void {
                $order->slips()->create($row);
                AuditLog::write('slip.uploaded', ['invoice' => $order->invoice_number, 'path' => $row['path']], $request->user());
            });
        } catch (Throwable $exception) {
            Storage::disk('public')->delete($row['path']);
            throw $exception;
        }

        return response()->json(['invoice' => $order->invoice_number, 'path' => $row['path'], 'sha256' => $row['sha256']], 201);
    }
}
