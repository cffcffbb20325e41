{{-- Copyright (c) 2026, LaraPee contributors --}}
{{-- SPDX-License-Identifier: GPL-3.0-or-later --}}
{{ $branch->name }}
{{ $order->invoice_number }}
{{ $order->ordered_at->format('Y-m-d H:i:s') }}
@foreach ($order->items as $item)
{{ $item->quantity }} x {{ $item->variant->product->name }}, {{ $item->variant->name }}: {{ $item->line_total }}
@endforeach
TAX {{ $order->tax }}
TOTAL {{ $order->total }}
