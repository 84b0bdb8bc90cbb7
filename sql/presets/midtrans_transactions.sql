-- Midtrans, transactions.
--
-- Asks   GET {host}/v2/{reference}/status, the server key as Basic user. The order's reference is Midtrans' order_id; by
--        transaction_id the evidence would not agree.
-- Pages  https://docs.midtrans.com/docs/get-status-api-requests, …/docs/transaction-status-cycle,
--        …/reference/best-practices-to-handle-notification. Facts from stored copies, read 2026-11.
--        [V] the sandbox's host, path and Basic; the words of transaction_status; a success is status_code 200, fraud_status
--            accept and settlement or capture, all three; gross_amount is a decimal text
--        [S] the production host; an unknown order is HTTP 200 with status_code "404" in the body
--        [U] currency and refund_amount: where they are missing, rupiah are taken and no part is recorded; rate limits; the
--            body's other status_codes, which are read as the HTTP statuses of the same number and close nothing
-- A chargeback, a part of one, and `failure` have no rule: they are unknown_status, which changes nothing and stays visible.
-- Until the customer has chosen a way to pay, the order is not there: that is the grace. Midtrans ends a transaction by
-- itself; 30 days are ours.
-- Requires: providers.

create function reconcile.add_midtrans_transactions(
    name text,
    secret text,
    host text default 'https://api.midtrans.com',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_rules constant jsonb := (
        select jsonb_agg(jsonb_build_object('when', rule.predicate, 'means', rule.outcome))
        from (values
            ('$.status_code == "404"', 'not_found'),
            ('$.status_code == "401" || $.status_code == "403"', 'refused'),
            ('$.status_code == "429"', 'throttled'),
            ('$.status_code like_regex "^5[0-9][0-9]$"', 'provider_error'),
            (
                '$.status_code == "200" && $.fraud_status == "accept" '
                '&& ($.transaction_status == "settlement" || $.transaction_status == "capture")', 'succeeded'
            ),
            ('$.transaction_status == "capture" && $.fraud_status == "challenge"', 'pending'),
            ('$.transaction_status == "pending" || $.transaction_status == "authorize"', 'pending'),
            ('$.transaction_status == "deny"', 'failed'),
            ('$.transaction_status == "cancel" || $.transaction_status == "expire"', 'cancelled'),
            ('$.transaction_status == "refund"', 'refunded'),
            ('$.transaction_status == "partial_refund"', 'succeeded')
        ) as rule (predicate, outcome)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v2/{reference}/status',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', secret),
            'rules', v_rules
        ) || '{
            "status_path": "$.transaction_status",
            "transaction_id_path": "$.transaction_id",
            "amount_path": "$.gross_amount", "amount_unit": "major", "currency_path": "$.currency", "currency": "IDR",
            "refunded_path": "$.refund_amount",
            "reference_path": "$.order_id",
            "captures": {"fraud_status": "$.fraud_status", "payment_type": "$.payment_type"},
            "schedule": "1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h",
            "deadline": "30 days"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_midtrans_transactions(text, text, text, jsonb) is
    'Adds Midtrans'' transactions, decided by transaction_status, fraud_status and status_code; secret names the server key.';
