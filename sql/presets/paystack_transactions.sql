-- Paystack, transactions.
--
-- Asks   GET {host}/transaction/verify/{reference}, Authorization: Bearer. The order's reference is the transaction's reference.
-- Pages  https://docs-v1.paystack.com/reference/check-pending-charge, and copies of Paystack's "verify payments" page and example.
--        Read 2026-11.
--        [V] wait at least 10 s before asking again about what is pending
--        [S] host, path, Bearer; data.status decides, the top-level status only says that the call worked; its eight words;
--            amounts in minor units; no webhook tells of a failure; "Transaction reference not found", with 404 or with 400
--        [U] figures of the rate limits: settings can set one; decimals of XOF and RWF, which ISO 4217 gives none: two are taken,
--            since with too many of them no payment passes for a larger one
-- abandoned is open: the customer can still pay, so orders of this preset end by their deadline. reversed is a refund or a
-- chargeback; the answer does not say which, nor a part.
-- Requires: providers.

create function reconcile.add_paystack_transactions(
    name text,
    secret text,
    host text default 'https://api.paystack.co',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/transaction/verify/{reference}',
            'auth', jsonb_build_object('kind', 'bearer', 'secret', secret),
            'rules', jsonb_build_array(jsonb_build_object(
                'when', '$.status == false && $.message like_regex "^transaction reference not found" flag "i"',
                'means', 'not_found'
            ))
        ) || '{
            "http_outcomes": {"400": "body", "404": "body"},
            "status_path": "$.data.status",
            "status_map": {
                "success": "succeeded", "failed": "failed", "reversed": "refunded", "abandoned": "pending", "ongoing": "pending",
                "pending": "pending", "processing": "pending", "queued": "pending"
            },
            "transaction_id_path": "$.data.id",
            "amount_path": "$.data.amount", "amount_unit": "minor", "currency_path": "$.data.currency",
            "currency_exponents": {"XOF": 2, "RWF": 2},
            "reference_path": "$.data.reference",
            "captures": {"gateway_response": "$.data.gateway_response"},
            "sensitive": ["authorization_code"],
            "schedule": "30s, 30s, 1m, 2m, 4m, then 5m"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_paystack_transactions(text, text, text, jsonb) is
    'Adds Paystack''s transactions, decided by data.status; secret names the secret key.';
