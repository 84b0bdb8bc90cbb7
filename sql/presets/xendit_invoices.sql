-- Xendit, invoices.
--
-- Asks   GET {host}/v2/invoices/{reference}, the secret key as Basic user. The order's reference is the invoice's id.
-- Pages  https://docs.xendit.co/xeninvoice/statuses, Xendit's own client library (InvoiceApi). Facts from stored copies, read
--        2026-11.
--        [V] host and path; PENDING, PAID, SETTLED ("not all invoices reach settled"), EXPIRED (can't be paid any more); amount
--            and currency
--        [S] Basic with the key as user; amounts in major units
--        [U] rate limits: settings can set one. paid_amount was read of callbacks alone: it is kept, and amount is compared
-- By the order's number, where by_external_id says that the application gives it as external_id:
--        GET {host}/v2/invoices?external_id={order_number}, a list. An external_id can have several invoices: one that is paid decides,
--        then one that can be paid still.
--        [V] GET /v2/invoices, all invoices (the library's InvoiceApi)
--        [S] external_id as its parameter, and a list as its answer (clients of others); how soon a new invoice is in it is [U]
-- Refunds don't show. Xendit ends an invoice by itself; 30 days are ours.
-- Requires: providers.

create function reconcile.add_xendit_invoices(
    name text,
    secret text,
    host text default 'https://api.xendit.co',
    settings jsonb default '{}',
    by_external_id boolean default false
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_own constant text := '$[*] ? (@.external_id == $order_number)';
    v_paid constant text := v_own || ' ? (@.status == "PAID" || @.status == "SETTLED")';
    v_chosen constant text := format('%s ? (@.status == "PAID" || @.status == "SETTLED" || @.status == "PENDING" && !exists(%s))', v_own, v_paid);
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v2/invoices/{reference}',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', secret),
            'without_reference', case when by_external_id then jsonb_build_object(
                'url', rtrim(host, '/') || '/v2/invoices?external_id={order_number}',
                'status_path', v_own || '.status',
                'rules', jsonb_build_array(
                    jsonb_build_object('when', format('exists(%s)', v_paid), 'means', 'succeeded'),
                    jsonb_build_object('when', format('exists(%s ? (@.status == "PENDING"))', v_own), 'means', 'pending'),
                    jsonb_build_object('when', format('!exists(%s)', v_own), 'means', 'not_found')
                ),
                'transaction_id_path', v_chosen || '.id', 'reference_path', v_chosen || '.id',
                'amount_path', v_paid || '.amount', 'currency_path', v_paid || '.currency',
                'captures', jsonb_build_object('external_id', v_chosen || '.external_id', 'paid_amount', v_paid || '.paid_amount')
            ) end
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

comment on function reconcile.add_xendit_invoices(text, text, text, jsonb, boolean) is
    'Adds Xendit''s invoices, decided by status; secret names the secret key. by_external_id: an order without a reference is looked for by its '
    'number, which the application gave as external_id.';
