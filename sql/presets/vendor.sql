-- A vendor that delivers orders and answers {"message": …, "data": {"invoiceId", "reference", "retailPrice", "status", …}}.
--
-- Asks   GET {host}/orders/{order_number}?invoice={reference}, Authorization: Bearer. The order's reference is the invoice's id.
-- From   the description of such a system and its example answer; there is no public page. Read 2026-11.
--        [V] the words succeeded, failed, cancelled, processing, pending and what they do (cancelled fails the order), the
--            members of data, first check after 5 minutes, every 3 minutes, half a second between two calls
--        [U] the path, the host and the way to sign: host has no default, and settings can say another url and auth; where a
--            transaction id is, if there is one: data.transactionId; the answer's currency: it has none, so none is compared
-- Requires: providers.

create function reconcile.add_vendor(name text, secret text, host text, settings jsonb default '{}') returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/orders/{order_number}?invoice={reference}',
            'auth', jsonb_build_object('kind', 'bearer', 'secret', secret)
        ) || '{
            "status_path": "$.data.status",
            "status_map": {
                "succeeded": "succeeded", "failed": "failed", "cancelled": "failed", "processing": "pending", "pending": "pending"
            },
            "transaction_id_path": "$.data.transactionId",
            "amount_path": "$.data.retailPrice", "amount_unit": "major",
            "reference_path": "$.data.invoiceId",
            "schedule": "5m, then 3m",
            "gap": "500 milliseconds"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_vendor(text, text, text, jsonb) is
    'Adds a vendor that is asked by order number and invoice id; secret names its bearer token.';
