-- Square, payments.
--
-- Asks   GET {host}/v2/payments/{reference}, Authorization: Bearer. The order's reference is the payment's id.
-- Pages  https://developer.squareup.com/docs/refunds-api/retrieve-refunds, …/docs/payments-api/webhooks; the statuses by a course
--        and the developers' forum. Facts from stored copies, read 2026-11.
--        [V] refunded_money, which sums up what was paid back
--        [V] decimals as in ISO 4217: AUD, CAD, GBP, USD, EUR two, JPY none (…/common-data-types/working-with-monetary-amounts)
--        [S] host and Bearer (public code that asks there); APPROVED, PENDING, COMPLETED, CANCELED, FAILED; amount_money in
--            minor units, without the tip
--        [U] rate limits: settings can set one; Square-Version is not sent, so the account's own version answers
-- APPROVED is authorised and not taken yet. A refund leaves the status at COMPLETED.
-- Requires: providers.

create function reconcile.add_square_payments(
    name text,
    secret text,
    host text default 'https://connect.squareup.com',
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
            'rules', jsonb_build_array(jsonb_build_object(
                'when', '$.payment.status == "COMPLETED" && $.payment.refunded_money.amount >= $.payment.amount_money.amount',
                'means', 'refunded'
            ))
        ) || '{
            "status_path": "$.payment.status",
            "status_map": {
                "COMPLETED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled", "APPROVED": "pending", "PENDING": "pending"
            },
            "transaction_id_path": "$.payment.id",
            "amount_path": "$.payment.amount_money.amount", "amount_unit": "minor",
            "currency_path": "$.payment.amount_money.currency",
            "refunded_path": "$.payment.refunded_money.amount",
            "reference_path": "$.payment.id",
            "captures": {"square_order_id": "$.payment.order_id"}
        }',
        settings
    );
end
$$;

comment on function reconcile.add_square_payments(text, text, text, jsonb) is
    'Adds Square''s payments, decided by payment.status; secret names the access token.';
