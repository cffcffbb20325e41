<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return [
    'branch' => ['code' => env('POS_BRANCH_CODE'), 'name' => env('POS_BRANCH_NAME')],
    // Who is called when an order is paid; an address that is empty is called by nobody.
    'outside' => [
        'webhook' => env('WEBHOOK_URL'),
        'sms' => env('SMS_GATEWAY_URL'),
        'payment' => env('PAYMENT_GATEWAY_URL'),
    ],
    'mail_receipts_to' => env('MAIL_RECEIPTS_TO'),
];
