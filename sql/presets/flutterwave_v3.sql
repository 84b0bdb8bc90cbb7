-- Flutterwave v3, transactions.
--
-- Asks   GET {host}/v3/transactions/{reference}/verify, Authorization: Bearer. The order's reference is the transaction's id
--        (data.id), not tx_ref.
-- Pages  https://developer.flutterwave.com/docs/transaction-verification,
--        https://developer.flutterwave.com/v2.0/reference/xrequery-transaction-verification. Facts from stored copies, read
--        2026-11.
--        [V] verify by data.id; compare tx_ref, status, currency and amount; 400 calls a minute (of v2's re-query)
--        [S] host and path; data.status successful, failed, pending, cancelled; amounts in major units
--        [U] Bearer with the secret key; a limit of v3's own; v4, whose word is succeeded, is not this preset
-- Flutterwave advises to take an amount that is at least the expected one. Here it has to be exact: an overpayment goes to
-- review, where somebody decides about the rest.
-- Requires: providers.

create function reconcile.add_flutterwave_v3(
    name text,
    secret text,
    host text default 'https://api.flutterwave.com',
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
            'url', rtrim(host, '/') || '/v3/transactions/{reference}/verify',
            'auth', jsonb_build_object('kind', 'bearer', 'secret', secret)
        ) || '{
            "status_path": "$.data.status",
            "status_map": {"successful": "succeeded", "failed": "failed", "cancelled": "cancelled", "pending": "pending"},
            "transaction_id_path": "$.data.flw_ref",
            "amount_path": "$.data.amount", "amount_unit": "major", "currency_path": "$.data.currency",
            "reference_path": "$.data.id",
            "captures": {"tx_ref": "$.data.tx_ref"},
            "rate_limit": 400, "rate_interval": "1 minute"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_flutterwave_v3(text, text, text, jsonb) is
    'Adds Flutterwave v3''s transactions, decided by data.status; secret names the secret key.';
