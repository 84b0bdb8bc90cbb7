-- Xendit, invoices.
--
-- Asks   GET {host}/v2/invoices/{reference}, the secret key as Basic user. The order's reference is the invoice's id.
-- Pages  https://docs.xendit.co/xeninvoice/statuses, Xendit's own client library (InvoiceApi). Facts from stored copies, read
--        2026-11.
--        [V] host and path; PENDING, PAID, SETTLED ("not all invoices reach settled"), EXPIRED (can't be paid any more); amount
--            and currency
--        [S] Basic with the key as user; amounts in major units
--        [U] rate limits: settings can set one. paid_amount was read of callbacks alone: it is kept, and amount is compared
-- Refunds don't show. Xendit ends an invoice by itself; 30 days are ours.
-- Requires: providers.

create function reconcile.add_xendit_invoices(
    name text,
    secret text,
    host text default 'https://api.xendit.co',
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
            'url', rtrim(host, '/') || '/v2/invoices/{reference}',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', secret)
        ) || '{
            "status_path": "$.status",
            "status_map": {"PAID": "succeeded", "SETTLED": "succeeded", "EXPIRED": "cancelled", "PENDING": "pending"},
            "transaction_id_path": "$.id",
            "amount_path": "$.amount", "amount_unit": "major", "currency_path": "$.currency",
            "reference_path": "$.id",
            "captures": {"external_id": "$.external_id", "paid_amount": "$.paid_amount"},
            "schedule": "1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h",
            "deadline": "30 days"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_xendit_invoices(text, text, text, jsonb) is
    'Adds Xendit''s invoices, decided by status; secret names the secret key.';
