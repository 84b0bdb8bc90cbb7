-- What one answer says of one order: the values that the provider's paths find, what they mean together, and whether they are about
-- this order and agree with it.
--
-- Functions of one answer each, which read no table: what is kept of an answer, and where the order goes, is settled by the batch.
-- Requires: reading.

create type reconcile_internal.given_answer as (
    order_id bigint,
    token bigint,
    fault text,
    http_status integer,
    body text,
    detail text,
    duration_ms integer,
    retry_after_s integer
);

comment on type reconcile_internal.given_answer is 'What came of a check: an answer as it was heard, or why there is none.';
comment on column reconcile_internal.given_answer.order_id is 'The order.';
comment on column reconcile_internal.given_answer.token is 'The lease under which it was asked.';
comment on column reconcile_internal.given_answer.fault is 'What went wrong on the wire.';
comment on column reconcile_internal.given_answer.http_status is 'The answer''s HTTP status.';
comment on column reconcile_internal.given_answer.body is 'The answer.';
comment on column reconcile_internal.given_answer.detail is 'What is said of the fault; without one, the content type of an answer that says it is no JSON.';
comment on column reconcile_internal.given_answer.duration_ms is 'How long the call took.';
comment on column reconcile_internal.given_answer.retry_after_s is 'How long the provider asked to be left alone.';

create type reconcile_internal.said as (
    rule jsonb,
    statuses jsonb,
    word text,
    transaction_id text,
    amount text,
    currency text,
    refunds text[],
    reference text,
    several jsonb,
    parts text[],
    quoted jsonb
);

comment on type reconcile_internal.said is 'What a provider''s paths find in an answer.';
comment on column reconcile_internal.said.rule is 'The first rule that holds, with its number.';
comment on column reconcile_internal.said.statuses is 'All that status_path finds.';
comment on column reconcile_internal.said.word is 'The first of these, as it may be shown.';
comment on column reconcile_internal.said.transaction_id is 'The first value of transaction_id_path.';
comment on column reconcile_internal.said.amount is 'The first value of amount_path.';
comment on column reconcile_internal.said.currency is 'The first value of currency_path, or the provider''s only currency.';
comment on column reconcile_internal.said.refunds is 'All that refunded_path finds.';
comment on column reconcile_internal.said.reference is 'The first value of reference_path.';
comment on column reconcile_internal.said.parts is 'Several amounts that add up to one.';
comment on column reconcile_internal.said.quoted is 'What may be quoted of several words, and of what was paid back: as the masked answer has it.';
comment on column reconcile_internal.said.several is 'By its name, what each path found that found more than one value: the judge says what they are.';

create type reconcile_internal.answer_read as (
    outcome text,
    remark text,
    word text,
    shown jsonb,
    transaction_id text,
    captured jsonb,
    refunded_amount numeric,
    reference text,
    about text
);

comment on type reconcile_internal.answer_read is 'What an answer means for its order.';
comment on column reconcile_internal.answer_read.outcome is 'The outcome.';
comment on column reconcile_internal.answer_read.remark is 'What is to be said of it: what disagrees, is missing or was not compared.';
comment on column reconcile_internal.answer_read.word is 'The provider''s word; NULL where the answer is not read.';
comment on column reconcile_internal.answer_read.shown is 'What may be kept of the answer.';
comment on column reconcile_internal.answer_read.transaction_id is 'The transaction id, of an answer about this order.';
comment on column reconcile_internal.answer_read.captured is 'What the captures find, in an answer about this order.';
comment on column reconcile_internal.answer_read.refunded_amount is 'What was paid back, by an answer about this order.';
comment on column reconcile_internal.answer_read.about is 'Whose trouble a provider_error is, the order''s or the provider''s, where a rule says so.';
comment on column reconcile_internal.answer_read.reference is 'The reference that it has, of an answer about an order that has none.';

create function reconcile_internal._path_variables(p_order_number text, p_reference text, p_own_number text default null) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return jsonb_build_object('order_number', p_order_number, 'own_number', coalesce(p_own_number, p_order_number),
        'reference', coalesce(to_jsonb(p_reference), '{}'));
end
$$;

comment on function reconcile_internal._path_variables(text, text, text) is
    'What paths and rules may name. An order without a reference has none that anything could be equal to, and without a prefix its row''s own '
    'number is its number.';

create function reconcile_internal._first_text(p_found jsonb) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return case when jsonb_array_length(p_found) > 1 then (reconcile_internal._texts(p_found))[1] else p_found ->> 0 end;
end
$$;

comment on function reconcile_internal._first_text(jsonb) is 'The first value that a path found, as a text; one that is null is none.';

-- Each path is evaluated once, and one that is NULL not at all. An object in an amount's place is no amount, and no silence either.
create function reconcile_internal._what_is_said(p_provider reconcile.providers, p_answer jsonb, p_shown jsonb, p_variables jsonb)
returns reconcile_internal.said
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_transaction_ids jsonb := jsonb_path_query_array(p_answer, p_provider.transaction_id_path, p_variables, true);
    v_amounts jsonb := jsonb_path_query_array(p_answer, p_provider.amount_path, p_variables, true);
    v_currencies jsonb := jsonb_path_query_array(p_answer, p_provider.currency_path, p_variables, true);
    v_mentions jsonb := jsonb_path_query_array(p_answer, p_provider.reference_path, p_variables, true);
    v_refunds jsonb := jsonb_path_query_array(p_answer, p_provider.refunded_path, p_variables, true);
    v_said reconcile_internal.said;
begin
    v_said.statuses := jsonb_path_query_array(p_answer, p_provider.status_path, p_variables, true);
    if p_provider.rules <> '[]' then
        v_said.rule := reconcile_internal._matching_rule(p_provider.rules, p_answer, p_variables);
    end if;
    -- The word is shown, so it is what a masked answer has: a path may lead to what is masked.
    v_said.word := left(jsonb_path_query_first(p_shown, p_provider.status_path, p_variables, true) #>> '{}', 200);
    -- Masked as a part of the answer, whose names say what is a secret, and before it is cut.
    if jsonb_array_length(v_said.statuses) > 1 or jsonb_array_length(v_refunds) > 0 then
        v_said.quoted := jsonb_build_object(
            'statuses', jsonb_path_query_array(p_shown, p_provider.status_path, p_variables, true),
            'refunds', jsonb_path_query_array(p_shown, p_provider.refunded_path, p_variables, true));
    end if;
    v_said.transaction_id := left(reconcile_internal._first_text(v_transaction_ids), 500);
    v_said.amount := reconcile_internal._first_text(v_amounts);
    v_said.currency := coalesce(left(reconcile_internal._first_text(v_currencies), 20), p_provider.currency);
    v_said.reference := left(reconcile_internal._first_text(v_mentions), 1000);
    if jsonb_array_length(v_refunds) > 0 then
        v_said.refunds := reconcile_internal._texts(v_refunds);
    end if;
    if greatest(
        jsonb_array_length(v_said.statuses), jsonb_array_length(v_transaction_ids), jsonb_array_length(v_amounts),
        jsonb_array_length(v_currencies), jsonb_array_length(v_mentions)
    ) > 1 then
        -- Words count as payments only where they decide.
        v_said.several := reconcile_internal._several(
            p_provider, case when v_said.rule is null then v_said.statuses end, v_transaction_ids, v_amounts, v_currencies, v_mentions);
        if p_provider.amounts_add_up and v_said.several ? 'amount_path' then
            v_said.parts := reconcile_internal._texts(v_said.several -> 'amount_path');
        end if;
    end if;
    return v_said;
end
$$;

comment on function reconcile_internal._what_is_said(reconcile.providers, jsonb, jsonb, jsonb) is
    'What the paths of a provider find in an answer.';

-- Paid back in part is still paid; paid back as a whole is refunded, whatever the word is. Of two payments, one that was paid back
-- leaves the other; of parts that add up, what was paid back has to be all of them.
create function reconcile_internal._parts_together(p_provider reconcile.providers, p_said reconcile_internal.said) returns numeric
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_said.parts is not null then reconcile_internal.said_sum(
        p_said.parts, p_provider.amount_unit, p_said.currency, nullif(p_provider.currency_exponents, '{}'))::numeric end;
end
$$;

comment on function reconcile_internal._parts_together(reconcile.providers, reconcile_internal.said) is
    'What parts come to that are meant to add up; NULL where there are none, or one can''t be read.';

create function reconcile_internal._what_is_meant(
    p_provider reconcile.providers, p_said reconcile_internal.said, p_amount numeric, p_refunded numeric
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_meaning text := case
        when p_said.rule is not null then p_said.rule ->> 'means'
        when jsonb_array_length(p_said.statuses) > 1
            then reconcile_internal.several_mean(reconcile_internal._texts(p_said.statuses), p_provider.status_map)
        else p_provider.status_map ->> left(p_said.statuses ->> 0, 200)
    end;
begin
    return case
        when v_meaning = 'refunded' and p_refunded < p_amount then 'succeeded'
        when v_meaning = 'succeeded' and p_refunded > 0 and p_refunded >= p_amount
            and (p_said.several is null or p_refunded >= reconcile_internal._parts_together(p_provider, p_said)) then 'refunded'
        else v_meaning
    end;
end
$$;

comment on function reconcile_internal._what_is_meant(reconcile.providers, reconcile_internal.said, numeric, numeric) is
    'What an answer''s words and refunds mean, before they are compared with the order; NULL when the status map has no such word.';

create function reconcile_internal._why_not_understood(p_provider reconcile.providers, p_said reconcile_internal.said) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_type text := jsonb_typeof(p_said.statuses -> 0);
begin
    return case
        when v_type is null then format('the answer has nothing at %s', p_provider.status_path)
        when v_type in ('object', 'array', 'null') then format('the status is %s and not a word', v_type)
        when jsonb_array_length(p_said.statuses) > 1 then format('the status map does not have all of %s', left((p_said.quoted -> 'statuses')::text, 200))
        else format('the status map does not have %L', p_said.word)
    end;
end
$$;

comment on function reconcile_internal._why_not_understood(reconcile.providers, reconcile_internal.said) is
    'What is to be said of an answer whose status means nothing.';

create function reconcile_internal._compared(
    p_provider reconcile.providers, p_must_say text[], p_order reconcile.tracked_orders, p_said reconcile_internal.said, p_refunded numeric,
    out outcome text, out remark text
)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_meaning text := reconcile_internal._what_is_meant(p_provider, p_said, p_order.amount, p_refunded);
begin
    outcome := 'mismatch';
    remark := case
        when v_meaning is null then reconcile_internal._why_not_understood(p_provider, p_said)
        when v_meaning = 'mismatch' then format('status_path finds several different values: %s', left((p_said.quoted -> 'statuses')::text, 200))
        -- What can't be read is not nothing.
        when v_meaning in ('succeeded', 'refunded') and p_refunded is null and p_said.refunds <> '{}'
            then format('the amount at refunded_path can''t be read: %s', left((p_said.quoted -> 'refunds')::text, 200))
        else reconcile_internal.disagreement(
            v_meaning, trim_scale(p_order.amount)::text, p_order.currency, p_order.reference, p_said.amount, p_said.currency, p_said.reference,
            p_provider.amount_unit, nullif(p_provider.currency_exponents, '{}'),
            case when num_nulls(p_said.amount, p_said.currency, p_said.reference) > 0 then p_must_say end, p_said.several,
            p_said.parts is not null)
    end;
    if v_meaning is null then
        outcome := case when jsonb_typeof(p_said.statuses -> 0) in ('string', 'number', 'boolean') then 'unknown_status' else 'provider_error' end;
    elsif remark is null then
        outcome := v_meaning;
        remark := nullif(concat_ws('; ',
            case
                when p_refunded > 0 then format('%s was paid back', trim_scale(p_refunded))
                when p_said.rule is not null then format('by rule %s', p_said.rule ->> 'number')
            end,
            case when v_meaning = 'succeeded' and p_said.parts is not null then format('%s parts add up', cardinality(p_said.parts)) end,
            case when v_meaning = 'succeeded' then reconcile_internal._not_compared(
                p_provider, p_order.amount, p_order.currency, p_order.reference, p_said.amount, p_said.currency, p_said.reference) end), '');
    end if;
end
$$;

comment on function reconcile_internal._compared(
    reconcile.providers, text[], reconcile.tracked_orders, reconcile_internal.said, numeric
) is
    'The outcome of an answer that is compared with its order, mismatch where it does not agree; and what is to be said of it.';

-- Not another order's answer, nor one that takes money and leaves out whose.
create function reconcile_internal._is_about(
    p_reference text, p_must_say text[], p_said reconcile_internal.said, p_outcome text
) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(
        case when p_said.several ? 'reference_path'
            then p_said.several -> 'reference_path' <@ jsonb_build_array(coalesce(p_reference, p_said.reference))
            else p_said.reference = p_reference
        end,
        p_outcome <> 'mismatch' or p_reference is null or not 'reference' = any (p_must_say)
    );
end
$$;

comment on function reconcile_internal._is_about(text, text[], reconcile_internal.said, text) is
    'Whether an answer that was read is about its order, as far as it says whose it is.';

-- One that agrees with the order as far as it is known, and names one reference. Amount and currency are compared as of a success, whatever
-- the answer means: by that reference the order would be asked about from then on.
create function reconcile_internal._reference_found(
    p_provider reconcile.providers, p_order reconcile.tracked_orders, p_said reconcile_internal.said, p_outcome text
) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when p_order.reference is null and p_outcome not in ('mismatch', 'provider_error', 'not_found')
            and length(p_said.reference) between 1 and 500
            and coalesce(p_said.several -> 'reference_path' <@ jsonb_build_array(p_said.reference), true)
            and reconcile_internal.disagreement(
                'succeeded', trim_scale(p_order.amount)::text, p_order.currency, null, p_said.amount, p_said.currency, null,
                p_provider.amount_unit, nullif(p_provider.currency_exponents, '{}'), null,
                -- Two tries to pay one order have its reference in common.
                p_said.several - '{transaction_id_path,status_path,reference_path}'::text[], p_said.parts is not null
            ) is null
        then p_said.reference
    end;
end
$$;

comment on function reconcile_internal._reference_found(reconcile.providers, reconcile.tracked_orders, reconcile_internal.said, text) is
    'The reference that an answer gives to an order without one; NULL where it gives none, or several, or is about another amount or currency.';

create function reconcile_internal._read_answer(
    p_provider reconcile.providers, p_never_kept text[], p_must_say text[], p_order reconcile.tracked_orders, p_wire text,
    p_given reconcile_internal.given_answer
) returns reconcile_internal.answer_read
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_answer jsonb := reconcile_internal._parsed(p_given.body);
    v_read_from jsonb := v_answer;
    v_shown_from jsonb;
    v_rows integer;
    v_variables jsonb;
    v_said reconcile_internal.said;
    v_refunded numeric;
    v_judged record;
    v_read reconcile_internal.answer_read;
begin
    if v_answer is not null then
        v_read.shown := coalesce(reconcile_internal.redact(p_given.body, p_never_kept)::jsonb, v_answer);
    end if;
    if p_wire is not null or v_answer is null then
        v_read.outcome := coalesce(p_wire, 'provider_error');
        v_read.remark := reconcile_internal._remark_about(
            p_wire, p_given.fault, p_given.http_status, p_given.body, v_answer is not null, p_given.detail, p_never_kept);
        return v_read;
    end if;
    v_shown_from := v_read.shown;
    v_variables := reconcile_internal._path_variables(p_order.order_number, p_order.reference, p_order.own_number);
    -- Of several rows of this database those that decide; of anything else all of it.
    if p_provider.kind = 'sql' and jsonb_typeof(v_answer) = 'array' then
        v_rows := reconcile_internal._decisive_rows(p_provider, v_answer, v_variables);
        if v_rows is not null then
            v_read_from := reconcile_internal._first_rows(v_read_from, v_rows);
            v_shown_from := reconcile_internal._first_rows(v_shown_from, v_rows);
        end if;
    end if;
    v_said := reconcile_internal._what_is_said(p_provider, v_read_from, v_shown_from, v_variables);
    v_read.word := v_said.word;
    if v_said.refunds <> '{}' then
        v_refunded := reconcile_internal.said_sum(
            v_said.refunds, p_provider.amount_unit, coalesce(v_said.currency, p_order.currency),
            nullif(p_provider.currency_exponents, '{}'))::numeric;
    end if;
    v_judged := reconcile_internal._compared(p_provider, p_must_say, p_order, v_said, v_refunded);
    v_read.outcome := v_judged.outcome;
    v_read.remark := v_judged.remark;
    v_read.about := v_said.rule ->> 'about';
    if reconcile_internal._is_about(p_order.reference, p_must_say, v_said, v_read.outcome) then
        -- Of two payments, the one that is known stays it.
        v_read.transaction_id := case when v_said.several ? 'transaction_id_path' then coalesce(p_order.transaction_id, v_said.transaction_id)
            else v_said.transaction_id end;
        v_read.captured := case when p_provider.captures <> '{}'
            then reconcile_internal._captured(p_provider.captures, v_read_from, v_shown_from, v_variables) end;
        v_read.refunded_amount := v_refunded;
        v_read.reference := reconcile_internal._reference_found(p_provider, p_order, v_said, v_read.outcome);
    end if;
    return v_read;
end
$$;

comment on function reconcile_internal._read_answer(
    reconcile.providers, text[], text[], reconcile.tracked_orders, text, reconcile_internal.given_answer
) is
    'Reads one answer by its provider''s description, or what the wire says of it, and compares it with its order.';
