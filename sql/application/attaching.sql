-- attach_table and detach_table: the functions and triggers of an attached table are made and taken away.
--
-- A table is attached by a role that has its owner's, and what touches the table belongs to that owner.
-- Requires: dry_runs.

-- Asked for nothing, the functions show by the owner's rights whether the statuses and values fit their columns.
create function reconcile_internal._try_out(p_row reconcile.attachments) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_level integer := reconcile_internal._hold_settings();
begin
    execute format('select from reconcile_generated._rows_%s(%L)', p_row.attachment_id, '{}');
    execute format('select from unnest(%L::text[]) as tracked, lateral reconcile_generated._page_%s(tracked, null, 1)',
        p_row.track, p_row.attachment_id);
    if to_regprocedure(format('reconcile_generated._write_%s(text[], text[], text[], jsonb[])', p_row.attachment_id)) is not null then
        execute format('select from reconcile_generated._write_%s(%2$L, %2$L, %2$L, %2$L)', p_row.attachment_id, '{}');
    end if;
    perform reconcile_internal._give_back_settings(v_level);
exception
    when others then
        raise exception 'attach %: %', p_row.relation, reconcile_internal._problem_of(sqlerrm, 4000)
            using errcode = 'RC009', hint = 'A status, a value or a column does not fit its column''s type.';
end
$$;

comment on function reconcile_internal._try_out(reconcile.attachments) is 'Refuses an attachment whose functions fail.';

create function reconcile_internal._attach(p_row reconcile.attachments, p_hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text;
begin
    v_problem := reconcile_internal._attachment_problem(p_row);
    if v_problem is not null then
        raise exception 'attach %: %', p_row.relation, v_problem
            using errcode = 'RC009', hint = p_hint;
    end if;
    if not pg_has_role(p_row.attached_by, p_row.owner, 'USAGE') then
        raise exception 'attach %: it belongs to %, and % has not that role', p_row.relation, p_row.owner, p_row.attached_by
            using errcode = 'RC009', hint = 'A table is attached by its owner: states are written back with the owner''s rights.';
    end if;
    insert into reconcile.attachment_sweeps (attachment_id, missing_index) values (p_row.attachment_id, reconcile_internal._missing_index(p_row));
    perform reconcile_internal._make_row_functions(p_row);
    perform reconcile_internal._make_write_function(p_row);
    perform reconcile_internal._make_note_door(p_row);
    perform reconcile_internal._make_note_function(p_row);
    perform reconcile_internal._try_out(p_row);
end
$$;

comment on function reconcile_internal._attach(reconcile.attachments, text) is
    'Makes the functions of an attachment, if its attached_by has the role of the table''s owner.';

-- Orders keep their numbers: what was told of them, to endpoints and in the audit, names them by these.
create function reconcile_internal._refuse_another_prefix(
    p_row reconcile.attachments, p_given text, p_detached_id integer, p_detached_prefix text
) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_attachment_id integer := p_detached_id;
    v_prefix text := p_detached_prefix;
    v_orders bigint;
begin
    -- A table that is attached still would be refused for that, and for this only once it was detached.
    if v_attachment_id is null then
        select a.attachment_id, a.order_number_prefix into v_attachment_id, v_prefix
        from reconcile.attachments as a where a.relation = p_row.relation;
    end if;
    if p_given <> v_prefix then
        select count(*) into v_orders from (
            select from reconcile.tracked_orders as o where o.attachment_id = v_attachment_id limit 1000
        ) as few;
        if v_orders > 0 then
            raise exception 'attach %: order_number_prefix is %, and its orders of before (%) have %', p_row.relation,
                quote_literal(left(p_given, 80)), case when v_orders = 1000 then '1000 or more' else v_orders::text end,
                case when v_prefix = '' then 'none' else quote_literal(v_prefix) end
                using errcode = 'RC009', hint = 'Each of its rows would be an order once more, and orders keep their numbers. Leave the argument '
                    'out, and the prefix stays as it was. Where numbers of this table stand in another, give the other one a prefix.';
        end if;
    end if;
end
$$;

comment on function reconcile_internal._refuse_another_prefix(reconcile.attachments, text, integer, text) is
    'Refuses a prefix for a table that has orders without it, and says what to do.';

create function reconcile_internal._attachment_of(p_declaration reconcile.declarations) returns reconcile.attachments
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_given jsonb := p_declaration.arguments;
    v_row reconcile.attachments;
    v_before reconcile.detached_tables;
begin
    -- Columns that are not named are found by their usual names.
    v_row := jsonb_populate_record(null::reconcile.attachments,
        '{"write": {}, "capture": {}, "amount_unit": "major", "track": ["pending", "processing"]}' || v_given);
    v_row.order_number := reconcile_internal._usual_column(v_row.relation, v_row.order_number, '{order_number,number,order_no,order_id,id}');
    v_row.reference := reconcile_internal._usual_column(v_row.relation, v_row.reference,
        '{reference,provider_reference,invoice_id,merchant_transaction_id,payment_intent_id,payment_id}');
    v_row.status := reconcile_internal._usual_column(v_row.relation, v_row.status, '{status,state}');
    v_row.amount := reconcile_internal._usual_column(v_row.relation, v_row.amount, '{amount,total,total_amount,price}');
    v_row.currency := reconcile_internal._usual_column(v_row.relation, v_row.currency, '{currency,currency_code}');
    v_row.created_at := reconcile_internal._usual_column(v_row.relation, v_row.created_at, '{created_at,created,inserted_at}');
    v_row.relation_name := v_row.relation::text;
    select c.relkind, c.relowner into v_row.kind, v_row.owner from pg_class as c where c.oid = v_row.relation;
    -- A number alone may be that of another table, which was made since.
    select d.* into v_before
    from reconcile.detached_tables as d
    where d.relation = v_row.relation and (d.owner = v_row.owner or d.relation_name = v_row.relation_name)
    order by d.attachment_id desc
    limit 1;
    v_row.attachment_id := coalesce(v_before.attachment_id, nextval('reconcile.attachment_ids'));
    v_row.first_order_id := coalesce(v_before.first_order_id, nextval('reconcile.order_ids'));
    v_row.order_number_prefix := coalesce(v_row.order_number_prefix, v_before.order_number_prefix, '');
    perform reconcile_internal._refuse_another_prefix(v_row, v_given ->> 'order_number_prefix', v_before.attachment_id, v_before.order_number_prefix);
    v_row.provider_id := (reconcile_internal._provider(v_given ->> 'provider')).provider_id;
    v_row.time_zone := coalesce(v_row.time_zone, current_setting('TimeZone'));
    v_row.attached_by := p_declaration.declared_by;
    v_row.attached_at := clock_timestamp();
    return v_row;
end
$$;

comment on function reconcile_internal._attachment_of(reconcile.declarations) is 'The attachment that attach_table was called for.';

create function reconcile_internal._attach_table(p_declaration reconcile.declarations) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_dry_run boolean := coalesce((p_declaration.arguments ->> 'dry_run')::boolean, false);
    v_hint text := case when v_dry_run then 'Mend the table or the argument, and try again: "Your own tables" in sql/README.md says what each means.'
        else 'attach_table(…, dry_run => true) shows what would be done.' end;
    v_row reconcile.attachments;
    v_zone record;
    v_done jsonb;
begin
    if p_declaration.arguments ->> 'relation' is null then
        raise exception 'attach_table needs a table' using errcode = 'RC009', hint = 'As in attach_table(''shop.orders'', provider => ''vendor'').';
    end if;
    v_row := reconcile_internal._attachment_of(p_declaration);
    -- A dry run does what the real one would, up to the triggers, and takes it back.
    begin
        insert into reconcile.attachments select v_row.*;
        delete from reconcile.detached_tables as d where d.attachment_id = v_row.attachment_id;
        perform reconcile_internal._attach(v_row, v_hint);
        v_zone := reconcile_internal._zone_of(v_row, p_declaration.arguments ->> 'time_zone' is not null);
        v_row := reconcile_internal._make_anew_in(v_row, v_zone.zone);
        select jsonb_build_object('attachment_id', v_row.attachment_id, 'done', jsonb_agg(to_jsonb(done))) into v_done
        from (
            select done.what, done.detail from reconcile_internal._what_attaching_does(v_row) as done
            union all
            select 'time zone', v_zone.told where v_zone.told is not null
            union all
            select told.what, told.detail from reconcile_internal._what_rows_there_are(v_row, v_dry_run) as told
        ) as done;
        if v_dry_run then
            raise exception 'a dry run' using errcode = 'RCDRY';
        end if;
    exception
        when sqlstate 'RCDRY' then null;
        when unique_violation then
            raise exception 'attach %: it is attached already', v_row.relation
                using errcode = 'RC009', hint = 'To change how, detach it and attach it again: its orders go on being asked about between the two.';
        when not_null_violation then
            raise exception 'attach %: %', v_row.relation, coalesce(reconcile_internal._attachment_problem(v_row), reconcile_internal._problem_of(sqlerrm, 4000))
                using errcode = 'RC009', hint = v_hint;
    end;
    return v_done;
end
$$;

comment on function reconcile_internal._attach_table(reconcile.declarations) is
    'Does what attach_table was called for, all but the triggers, or tries it out; answers the attachment and what was done.';

create function reconcile.attach_table(
    relation regclass,
    provider text,
    order_number text default null,
    reference text default null,
    status text default null,
    track text[] default null,
    write jsonb default null,
    capture jsonb default null,
    amount text default null,
    currency text default null,
    created_at text default null,
    amount_unit text default null,
    created_after timestamptz default null,
    time_zone text default null,
    order_number_prefix text default null,
    dry_run boolean default false
)
returns table (what text, detail text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_id bigint := reconcile_doors.declare('attach_table', jsonb_build_object(
        'relation', relation::oid, 'provider', provider, 'order_number', order_number, 'reference', reference, 'status', status,
        'track', to_jsonb(track), 'write', write, 'capture', capture, 'amount', amount, 'currency', currency, 'created_at', created_at,
        'amount_unit', amount_unit, 'created_after', created_after, 'time_zone', time_zone,
        'order_number_prefix', order_number_prefix, 'dry_run', dry_run
    ));
    v_done jsonb;
    v_triggers text;
begin
    v_done := reconcile_doors.do_declared(v_id);
    if dry_run is not true then
        v_triggers := reconcile_doors.make_triggers(relation, (v_done ->> 'attachment_id')::integer);
    end if;
    return query select done.what, done.detail from jsonb_to_recordset(v_done -> 'done') as done (what text, detail text);
end
$$;

comment on function reconcile.attach_table(
    regclass, text, text, text, text, text[], jsonb, jsonb, text, text, text, text, timestamptz, text, text, boolean
) is
    'Watches an application''s own table from now on and writes states back to it; with dry_run, says what it would do. For the table''s owner.';

create function reconcile_internal._detach_table(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- As when it was attached: writers of the table wait behind who waits for it.
set lock_timeout = '5s'
set client_min_messages = warning
as $$
declare
    -- By its number: it may be gone.
    v_relation regclass := (p_declaration.arguments ->> 'relation')::oid;
    v_row reconcile.attachments;
    v_owner name;
    v_function regprocedure;
begin
    select a.* into v_row from reconcile.attachments as a where a.relation = v_relation for update;
    if not found then
        raise exception 'detach %: it is not attached', v_relation
            using errcode = 'RC009', hint = 'The attached tables are in reconcile.attached_tables.';
    end if;
    v_owner := (select r.rolname from pg_class as c join pg_roles as r on r.oid = c.relowner where c.oid = v_relation);
    if v_owner is not null and not pg_has_role(p_declaration.declared_by, v_owner, 'USAGE') then
        raise exception 'detach %: it belongs to %, and % has not that role', v_relation, v_owner, p_declaration.declared_by
            using errcode = 'RC009', hint = 'A table is detached by its owner, as it is attached.';
    end if;
    -- The triggers go with their function. A column's new name or a dropped table is no hindrance.
    for v_function in
        select p.oid from pg_proc as p
        where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname ~ ('^_(rows|page|write)_' || v_row.attachment_id || '$')
           or p.pronamespace = 'reconcile_doors'::regnamespace and p.proname in ('note_rows_' || v_row.attachment_id, 'note_rows_of_' || v_row.attachment_id)
    loop
        perform reconcile_internal._define(format('drop function %s cascade', v_function));
    end loop;
    delete from reconcile.arrivals as a where a.attachment_id = v_row.attachment_id;
    delete from reconcile.refused_rows as u where u.attachment_id = v_row.attachment_id;
    delete from reconcile.recorded_failures as f using reconcile.tracked_orders as o
    where f.effect = 'write-back' and o.order_id = f.order_id and o.attachment_id = v_row.attachment_id;
    delete from reconcile.attachments as a where a.attachment_id = v_row.attachment_id;
    insert into reconcile.detached_tables (attachment_id, relation, relation_name, owner, first_order_id, order_number_prefix)
    values (v_row.attachment_id, v_row.relation, v_row.relation_name, v_row.owner, v_row.first_order_id, v_row.order_number_prefix);
    perform reconcile_internal._let_enter_no_more();
exception
    when lock_not_available then
        raise exception 'detach %: the table is in use by a transaction that has not ended for 5 s', v_relation
            using errcode = 'RC009', hint = 'Nothing was changed. Look for it in pg_stat_activity, or try again at a quieter moment.';
end
$$;

comment on function reconcile_internal._detach_table(reconcile.declarations) is 'Does what detach_table was called for.';

create function reconcile.detach_table(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('detach_table', jsonb_build_object('relation', detach_table.relation::oid));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.detach_table(regclass) is
    'Takes the triggers and functions from a table again. Its open orders go on being asked about, and are written back when it is attached '
    'again. For the table''s owner.';
