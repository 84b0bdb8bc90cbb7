-- Mollie, payments.
--
-- Asks   GET {host}/v2/payments/{reference}, Authorization: Bearer. The order's reference is the id tr_….
-- Pages  https://docs.mollie.com/docs/handling-payment-status, https://docs.mollie.com/reference/payments-api-webhooks. Facts from
--        stored copies, read 2026-11.
--        [V] the seven statuses; paid, canceled, expired and failed are definitive; no webhook for open and pending; amount is
--            {"currency": "EUR", "value": "10.00"}
--        [S] the host and Bearer (an older copy of Mollie's own examples); amountRefunded (client libraries)
--        [U] rate limits: settings can set one
-- A refund leaves the status at paid: it shows in amountRefunded alone. Mollie ends a payment by itself; 30 days are ours.
-- Requires: providers.

create function reconcile.add_mollie_payments(
    name text,
    secret text,
    host text default 'https://api.mollie.com',
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
            'url', rtrim(host, '/') || '/v2/payments/{reference}',
            'auth', jsonb_build_object('kind', 'bearer', 'secret', secret),
            'rules', jsonb_build_array(
                jsonb_build_object('when', '$.status == "paid" && $.amountRefunded.value == $.amount.value', 'means', 'refunded')
            )
        ) || '{
            "status_path": "$.status",
            "status_map": {
                "paid": "succeeded", "failed": "failed", "canceled": "cancelled", "expired": "cancelled",
                "open": "pending", "pending": "pending", "authorized": "pending"
            },
            "transaction_id_path": "$.id",
            "amount_path": "$.amount.value", "amount_unit": "major", "currency_path": "$.amount.currency",
            "refunded_path": "$.amountRefunded.value",
            "reference_path": "$.id",
            "schedule": "1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h",
            "deadline": "30 days"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_mollie_payments(text, text, text, jsonb) is
    'Adds Mollie''s payments, decided by status; secret names the API key.';
