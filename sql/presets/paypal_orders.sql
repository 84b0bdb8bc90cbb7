-- PayPal, Orders v2.
--
-- Asks   GET {host}/v2/checkout/orders/{reference}, Authorization: Bearer by OAuth2 client credentials. The order's reference is
--        PayPal's order id.
-- Pages  https://developer.paypal.com/api/orders/v2/definitions/order_status, …/sdk/orders/v2/definitions/capture_status,
--        https://developer.paypal.com/api/rest/reference/rate-limiting, …/pix/reference/rate-limiting-guidelines, and PayPal's
--        OpenAPI description of Orders v2. Facts from stored copies, read 2026-11.
--        [V] hosts, path and token URL; the six words of an order, and that COMPLETED "can indicate a payment was authorized,
--            an authorized payment was captured, or a payment was declined": the captures' status decides; its six words; no
--            published limit, 429; "do not poll"; where polling is described at all, from 5 s on and growing
--        [U] amount.value and amount.currency_code of a capture were not read on a page: where they are missing, an
--            order goes to review. What a PARTIALLY_REFUNDED capture paid back is not recorded
-- One capture has to be the whole: an order that is captured twice or in parts goes to review, where somebody adds up.
-- A declined capture of an order that is not COMPLETED leaves it open: the buyer can pay in another way.
-- Requires: providers.

create function reconcile.add_paypal_orders(
    name text,
    client_id_secret text,
    client_secret text,
    host text default 'https://api-m.paypal.com',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_host constant text := rtrim(host, '/');
    v_captures constant text := '$.purchase_units[*].payments.captures[*]';
    -- Whose money counts: taken, or taken and paid back.
    v_taken constant text := v_captures
        || ' ? (@.status == "COMPLETED" || @.status == "PARTIALLY_REFUNDED" || @.status == "REFUNDED")';
    v_rules constant jsonb := (
        select jsonb_agg(
            jsonb_build_object('when', replace(rule.predicate, '%captures', v_captures), 'means', rule.outcome)
        )
        from (values
            ('%captures.status == "COMPLETED" || %captures.status == "PARTIALLY_REFUNDED"', 'succeeded'),
            ('%captures.status == "PENDING"', 'pending'),
            ('%captures.status == "REFUNDED"', 'refunded'),
            ('$.status == "COMPLETED" && (%captures.status == "DECLINED" || %captures.status == "FAILED")', 'failed'),
            ('$.status == "COMPLETED" && !exists(%captures)', 'pending'),
            ('$.status == "VOIDED"', 'cancelled'),
            (
                '$.status == "CREATED" || $.status == "SAVED" || $.status == "APPROVED" '
                '|| $.status == "PAYER_ACTION_REQUIRED"', 'pending'
            )
        ) as rule (predicate, outcome)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', v_host || '/v2/checkout/orders/{reference}',
            'auth', jsonb_build_object(
                'kind', 'oauth2', 'token_url', v_host || '/v1/oauth2/token', 'client_id_secret', client_id_secret,
                'client_secret', client_secret, 'style', 'basic'
            ),
            'rules', v_rules,
            'transaction_id_path', v_taken || '.id',
            'amount_path', v_taken || '.amount.value',
            'currency_path', v_taken || '.amount.currency_code',
            'captures', jsonb_build_object(
                'capture_status', v_captures || '.status', 'capture_reason', v_captures || '.status_details.reason'
            )
        ) || '{
            "status_path": "$.status",
            "amount_unit": "major", "amounts_add_up": true,
            "reference_path": "$.id",
            "schedule": "then 5s growing by 2 up to 1h",
            "deadline": "14 days"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_paypal_orders(text, text, text, text, jsonb) is
    'Adds PayPal''s Orders v2, decided by the captures; the two secrets name the client''s id and secret.';
