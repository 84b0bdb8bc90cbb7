-- What times without a time zone mean in an attached table: frameworks keep UTC in them, others the time of the place. The newest row
-- tells which, where one of the two would lie in the future, or where it is so young by one of them that it can't be by chance.
-- Requires: generating.

-- Of the whole table where an index or its size makes that cheap, and of the tracked rows elsewhere.
create function reconcile_internal._newest(p_row reconcile.attachments) returns timestamp
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_newest timestamp;
    v_level integer;
    v_is_cheap constant boolean := pg_relation_size(p_row.relation) <= 200 * 8192 and p_row.kind = 'r' or exists (
        select from pg_index as i
        join pg_attribute as first on first.attrelid = i.indrelid and first.attnum = i.indkey[0]
        where i.indrelid = p_row.relation and i.indisvalid and i.indpred is null and first.attname = p_row.created_at
    );
begin
    perform reconcile_internal._define(format(
        'create function reconcile_generated._newest_%s() returns timestamp language plpgsql security definer '
        'set search_path = pg_catalog, pg_temp as %L', p_row.attachment_id,
        format('begin perform reconcile_doors.confine(%L); return (select pg_catalog.max(t.%I) from %s as t where %s pg_catalog.isfinite(t.%2$I)); end',
            pg_get_userbyid(p_row.owner), p_row.created_at, p_row.relation,
            case when v_is_cheap then '' else format('t.%I %s any (%L::%s[]) and', p_row.status,
                reconcile_internal._operator(p_row.relation, p_row.status, 3), p_row.track,
                reconcile_internal._column_type(p_row.relation, p_row.status)) end)
    ));
    perform reconcile_internal._hand_over(format('reconcile_generated._newest_%s()', p_row.attachment_id)::regprocedure, p_row.owner,
        format('The newest time of creation in %s.', p_row.relation));
    perform reconcile_internal._hold_attached(p_row, false);
    v_level := reconcile_internal._hold_settings();
    execute format('select reconcile_generated._newest_%s()', p_row.attachment_id) into v_newest;
    perform reconcile_internal._give_back_settings(v_level);
    perform reconcile_internal._define(format('drop function reconcile_generated._newest_%s()', p_row.attachment_id));
    return v_newest;
end
$$;

comment on function reconcile_internal._newest(reconcile.attachments) is
    'The newest time of creation in an attached table, as its clock shows it; by its owner''s rights.';

create function reconcile_internal._likely_zone(p_newest timestamp, p_zone text, p_now timestamptz) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_here interval := p_now - p_newest at time zone p_zone;
    v_utc interval := p_now - p_newest at time zone 'UTC';
    -- Clocks differ by so much.
    v_future constant interval := interval '-5 minutes';
    -- Of two that are past: a table in use has a row as young as that by the right one.
    v_young constant interval := interval '15 minutes';
begin
    return case
        when v_here = v_utc then null
        when v_here < v_future and v_utc < v_future then null
        when v_here < v_future then 'UTC'
        when v_utc < v_future then p_zone
        when least(v_here, v_utc) <= v_young then case when v_utc < v_here then 'UTC' else p_zone end
    end;
end
$$;

comment on function reconcile_internal._likely_zone(timestamp, text, timestamptz) is
    'Which of UTC and another zone a table''s newest time is in; NULL when it does not tell.';

-- Made a moment ago, by the session's zone.
create function reconcile_internal._make_anew_in(p_row reconcile.attachments, p_zone text) returns reconcile.attachments
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments := p_row;
    v_function regprocedure;
begin
    if p_zone = p_row.time_zone then
        return p_row;
    end if;
    v_row.time_zone := p_zone;
    update reconcile.attachments as a set time_zone = p_zone where a.attachment_id = p_row.attachment_id;
    foreach v_function in array array(
        select p.oid from pg_proc as p
        where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname ~ ('^_(rows|page|write)_' || p_row.attachment_id || '$')
    ) loop
        perform reconcile_internal._define(format('drop function %s', v_function));
    end loop;
    perform reconcile_internal._make_row_functions(v_row);
    perform reconcile_internal._make_write_function(v_row);
    return v_row;
end
$$;

comment on function reconcile_internal._make_anew_in(reconcile.attachments, text) is
    'An attachment that was just made, with the functions that read and write its times made for another zone.';

create function reconcile_internal._zone_of(p_row reconcile.attachments, p_is_given boolean, out zone text, out told text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_newest timestamp;
    v_likely text;
    v_other text;
    v_now constant timestamptz := date_trunc('second', clock_timestamp());
    v_captured text := (
        select string_agg(quote_ident(captured.value #>> '{}'), ', ') from jsonb_each(p_row.capture) as captured
        where reconcile_internal._column_type(p_row.relation, captured.value #>> '{}') in ('timestamp without time zone', 'date')
    );
begin
    zone := p_row.time_zone;
    if reconcile_internal._column_type(p_row.relation, p_row.created_at) is distinct from 'timestamp without time zone' then
        told := 'times are written to ' || v_captured || ' as clocks show them in ' || p_row.time_zone;
        return;
    elsif p_is_given then
        told := format('%I says none: it is read as %s', p_row.created_at, p_row.time_zone);
        return;
    end if;
    v_newest := date_trunc('second', reconcile_internal._newest(p_row));
    v_likely := reconcile_internal._likely_zone(v_newest, p_row.time_zone, v_now);
    if v_likely is null then
        told := format('%I says none, and its rows don''t tell: it is read as %s, the zone of this session. Name it: time_zone => ''…''',
            p_row.created_at, p_row.time_zone);
        return;
    end if;
    zone := v_likely;
    v_other := case when v_likely = 'UTC' then p_row.time_zone else 'UTC' end;
    told := format('%I says none: it is read as %s, by which the newest row is %s old; by %s it would be %s', p_row.created_at, v_likely,
        greatest(v_now - v_newest at time zone v_likely, '0'), v_other, case
            when v_newest at time zone v_other > v_now then format('of %s from now', v_newest at time zone v_other - v_now)
            else format('%s old', v_now - v_newest at time zone v_other) end);
end
$$;

comment on function reconcile_internal._zone_of(reconcile.attachments, boolean) is
    'The zone of an attachment that was just made in the one that was given or the session''s, as its newest row tells it; and in words how '
    'times without a time zone are read and written, and why: NULL when it has none.';
