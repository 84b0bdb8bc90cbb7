-- Applications' own tables: which are attached, by which columns, and the functions that each gets.
--
-- Whatever touches a row of the application runs in a function that its table's owner owns: with the owner's rights, row level
-- security included, and never with the extension's. These functions are generated, so that their SQL is static:
--   _rows_N(order numbers)  where the rows stand       _page_N(status, after, limit)  the next rows in a status
--   _write_N(…)             writes states back         note_rows_N()                  the trigger
-- A fifth is ours, and for that owner alone to call: note_rows_of_N(order numbers).
-- What is told to the extension is only "look at these order numbers", which needs no trust.
-- Owns attaching and detaching; what becomes of a row is in following.sql, when it is written in effects.sql.
-- Requires: tracking.

create sequence reconcile.attachment_ids as integer;

create table reconcile.attachments (
    attachment_id integer primary key default nextval('reconcile.attachment_ids'),
    relation regclass not null unique,
    relation_name text not null,
    kind "char" not null,
    owner regrole not null,
    provider_id integer not null references reconcile.providers,
    order_number text not null,
    order_number_prefix text not null check (length(order_number_prefix) <= 40),
    reference text,
    status text not null,
    track text[] not null,
    write jsonb not null,
    capture jsonb not null,
    amount text,
    amount_unit text not null,
    currency text,
    created_at text,
    created_after timestamptz,
    first_order_id bigint not null,
    time_zone text not null,
    attached_by name not null,
    attached_at timestamptz not null default clock_timestamp()
);

comment on table reconcile.attachments is
    'Tables of applications whose rows are watched.';
comment on column reconcile.attachments.attachment_id is 'The attachment; its functions end with this number.';
comment on column reconcile.attachments.relation is 'The table.';
comment on column reconcile.attachments.relation_name is
    'Its name when it was attached, by which the generated functions know it: another table that takes the name is not this one.';
comment on column reconcile.attachments.kind is 'What it was when it was attached: r, a table, or p, a partitioned one.';
comment on column reconcile.attachments.owner is 'Whose it was when it was attached: what is generated runs with this role''s rights, and works for no other owner.';
comment on column reconcile.attachments.provider_id is 'Who is asked about its rows.';
comment on column reconcile.attachments.order_number is 'The column with the order number.';
comment on column reconcile.attachments.order_number_prefix is
    'What the ledger puts before the numbers of this table, which no other then has; empty for nothing.';
comment on column reconcile.attachments.reference is 'The column with the provider''s own id.';
comment on column reconcile.attachments.status is 'The column with the application''s status.';
comment on column reconcile.attachments.track is 'The statuses in which a row is watched.';
comment on column reconcile.attachments.write is 'What is written when an order comes to a state: {"state": {"column": value}}.';
comment on column reconcile.attachments.capture is 'Values of the provider''s answer that are written with it: {"name": "column"}.';
comment on column reconcile.attachments.amount is 'The column with the amount.';
comment on column reconcile.attachments.amount_unit is 'Whether that counts in major units (12.34) or minor ones (1234).';
comment on column reconcile.attachments.currency is 'The column with the currency.';
comment on column reconcile.attachments.created_at is 'The column with the time of creation.';
comment on column reconcile.attachments.created_after is 'Rows that are older are not watched; NULL for all.';
comment on column reconcile.attachments.first_order_id is
    'Orders before this one were known when it was attached: its rows may take them over. An order that is tracked by hand later is nobody''s row.';
comment on column reconcile.attachments.time_zone is
    'What times without a time zone mean in this table, created_at and those that are captured.';
comment on column reconcile.attachments.attached_by is 'The role that attached it.';
comment on column reconcile.attachments.attached_at is 'When.';

-- A table that is attached again has the number that its orders know it by.
create table reconcile.detached_tables (
    attachment_id integer primary key,
    relation regclass not null,
    relation_name text not null,
    owner regrole not null,
    first_order_id bigint not null,
    order_number_prefix text not null
);

comment on table reconcile.detached_tables is 'Tables that were attached once, and the numbers that they had.';
comment on column reconcile.detached_tables.attachment_id is 'Its number then, which its orders keep.';
comment on column reconcile.detached_tables.relation is 'The table; a number that may be another table''s by now, where it was dropped.';
comment on column reconcile.detached_tables.relation_name is 'What it was called.';
comment on column reconcile.detached_tables.owner is 'Whose it was: another table of this role may take its orders over.';
comment on column reconcile.detached_tables.first_order_id is 'See attachments.first_order_id.';
comment on column reconcile.detached_tables.order_number_prefix is 'What is before its orders'' numbers, which they keep.';

-- Where the scheduled search stands, apart from what a person wrote.
create table reconcile.attachment_sweeps (
    attachment_id integer primary key references reconcile.attachments on delete cascade,
    phase integer not null default 1,
    after text,
    rows_seen bigint not null default 0,
    rows_followed bigint not null default 0,
    began_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    problem text,
    problem_at timestamptz,
    missing_index text
) with (fillfactor = 50);

comment on table reconcile.attachment_sweeps is 'How far the search for rows that no trigger told of has come, for each attached table.';
comment on column reconcile.attachment_sweeps.attachment_id is 'The attachment.';
comment on column reconcile.attachment_sweeps.phase is 'Which tracked status is searched; after the last one, the orders whose rows may have left, and then the rows that are not watched.';
comment on column reconcile.attachment_sweeps.after is 'Up to which order it was searched.';
comment on column reconcile.attachment_sweeps.rows_seen is 'Rows and orders looked at in this search.';
comment on column reconcile.attachment_sweeps.rows_followed is 'Of those, the ones that differed from what was known.';
comment on column reconcile.attachment_sweeps.began_at is 'When this search began.';
comment on column reconcile.attachment_sweeps.finished_at is 'When a search was last complete; NULL before the first.';
comment on column reconcile.attachment_sweeps.problem is 'What stopped the latest look at the table; NULL when nothing did.';
comment on column reconcile.attachment_sweeps.problem_at is 'When that was.';
comment on column reconcile.attachment_sweeps.missing_index is
    'The index that the search lacks, when it last looked: nobody who reads an alert waits for the table.';

-- Whether a row that its owner does not see is gone: under forced row level security it may only be hidden.
create function reconcile_internal._sees_all_rows(p_relation regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select not (c.relrowsecurity and c.relforcerowsecurity) or r.rolsuper or r.rolbypassrls or (
            exists (
                select from pg_policy as p
                where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r') and pg_get_expr(p.polqual, p.polrelid) = 'true'
                  and exists (select from unnest(p.polroles) as role where role = 0 or pg_has_role(c.relowner, role, 'USAGE'))
            )
            and not exists (select from pg_policy as p where p.polrelid = c.oid and not p.polpermissive)
        )
        from pg_class as c
        join pg_roles as r on r.oid = c.relowner
        where c.oid = p_relation
    );
end
$$;

comment on function reconcile_internal._sees_all_rows(regclass) is 'Whether row level security hides no row of a table from its owner.';

create type reconcile.application_row as (
    order_number text, reference text, amount text, currency text, created_at timestamptz, status text
);

comment on type reconcile.application_row is 'A row of an attached table, as the ledger sees it.';
comment on column reconcile.application_row.order_number is 'Its order number.';
comment on column reconcile.application_row.reference is 'The provider''s own id.';
comment on column reconcile.application_row.amount is 'The amount, as the table counts it.';
comment on column reconcile.application_row.currency is 'The currency.';
comment on column reconcile.application_row.created_at is 'When it was created.';
comment on column reconcile.application_row.status is 'The application''s status.';

create function reconcile_internal._column_type(p_relation regclass, p_column text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    -- Without a length: an explicit cast to varchar(3) would cut, an assignment refuses. NULL for it would make char(1) of char(9).
    return (
        select format_type(a.atttypid, -1)
        from pg_attribute as a
        where a.attrelid = p_relation and a.attname = p_column and a.attnum > 0 and not a.attisdropped
    );
end
$$;

comment on function reconcile_internal._column_type(regclass, text) is 'The type of a table''s column; NULL when there is no such column.';

-- The first of the usual names that the table has.
create function reconcile_internal._usual_column(p_relation regclass, p_given text, p_names text[]) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if p_given is not null then
        return nullif(p_given, '');
    end if;
    return (
        select usual.name
        from unnest(p_names) with ordinality as usual (name, place)
        where reconcile_internal._column_type(p_relation, usual.name) is not null
        order by usual.place
        limit 1
    );
end
$$;

comment on function reconcile_internal._usual_column(regclass, text, text[]) is
    'The column that was named, none for an empty name, and without one the first of the usual names that the table has.';

-- An index by which the search finds rows of a status in the order of their numbers, or nearly. A partial one serves if it has all
-- tracked statuses, or leaves out others.
create function reconcile_internal._missing_index(p_attachment reconcile.attachments) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from pg_index as i
        join pg_attribute as first on first.attrelid = i.indrelid and first.attnum = i.indkey[0]
        cross join lateral (
            select pg_get_expr(i.indpred, i.indrelid) as text,
                (select count(*) from unnest(p_attachment.track) as tracked
                 where strpos(pg_get_expr(i.indpred, i.indrelid), quote_literal(tracked)) > 0) as tracked
        ) as predicate
        where i.indrelid = p_attachment.relation and i.indisvalid
          and case
              when i.indpred is null then first.attname = p_attachment.status
              else first.attname in (p_attachment.order_number, p_attachment.status)
                  and strpos(predicate.text, quote_ident(p_attachment.status)) > 0
                  and predicate.tracked = case when predicate.text ~ '<>' then 0 else cardinality(p_attachment.track) end
          end
    -- By their files: what was loaded a moment ago has no statistics yet.
    ) or coalesce((select sum(pg_relation_size(part.relid)) from pg_partition_tree(p_attachment.relation) as part),
        pg_relation_size(p_attachment.relation)) <= 200 * 8192
    then
        return null;
    end if;
    return format('create index on %s (%I, %I)', p_attachment.relation, p_attachment.status, p_attachment.order_number);
end
$$;

comment on function reconcile_internal._missing_index(reconcile.attachments) is
    'The index that the scheduled search needs and the table lacks; NULL when it has one, or is so small that it needs none.';

-- What an attachment may not say: one sentence, or NULL. Looks at the catalog alone.
create function reconcile_internal._attachment_problem(p_row reconcile.attachments) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_kind "char" := (select c.relkind from pg_class as c where c.oid = p_row.relation);
    v_states constant text[] := '{pending,processing,succeeded,failed,cancelled,refunded,review}';
    v_problem text;
begin
    if v_kind not in ('r', 'p') then
        return 'only tables can be attached, plain and partitioned ones';
    elsif (select c.relpersistence = 't' or c.relnamespace = 'reconcile'::regnamespace from pg_class as c where c.oid = p_row.relation) then
        return 'neither temporary tables nor pg_reconcile''s own can be attached';
    end if;
    if p_row.order_number is null or p_row.status is null then
        return format('it has no column with a usual name for %s: name it',
            case when p_row.order_number is null then 'order_number' else 'status' end);
    end if;
    v_problem := (
        select format('there is no column %I (%s)', named.column_name, named.argument)
        from (
            values ('order_number', p_row.order_number), ('reference', p_row.reference), ('status', p_row.status), ('amount', p_row.amount),
                ('currency', p_row.currency), ('created_at', p_row.created_at)
        ) as named (argument, column_name)
        where named.column_name is not null and reconcile_internal._column_type(p_row.relation, named.column_name) is null
        limit 1
    );
    v_problem := coalesce(v_problem, case
        when not exists (
            select from pg_index as i
            where i.indrelid = p_row.relation and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        ) then 'it has no key: add a primary key or a unique constraint'
        when not exists (
            select from pg_index as i
            join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
            where i.indrelid = p_row.relation and i.indisvalid and i.indpred is null and a.attname = p_row.order_number
        ) then format('no index begins with its order number, so writing back would read the whole table: create index on %s (%I)',
            p_row.relation, p_row.order_number)
        when coalesce(cardinality(p_row.track), 0) = 0 or array_position(p_row.track, null) is not null
            then 'track has to name the statuses in which a row is watched, as in {processing}'
        when jsonb_typeof(p_row.write) <> 'object' then 'write is not an object such as {"succeeded": {"status": "PAID"}}'
        when jsonb_typeof(p_row.capture) <> 'object' then 'capture is not an object such as {"pin_code": "pin"}'
        when reconcile_internal._column_type(p_row.relation, p_row.created_at) not in ('date', 'timestamp without time zone', 'timestamp with time zone')
            then format('column %I is %s and no time: name another for created_at, or none ('''')', p_row.created_at,
                reconcile_internal._column_type(p_row.relation, p_row.created_at))
        -- Abbreviations stand for several zones, and UTC+5 is west of Greenwich. The session's own was checked when it was set.
        when p_row.time_zone <> current_setting('TimeZone') and not exists (
            select from pg_timezone_names as z
            where lower(z.name) = lower(p_row.time_zone) and (z.name in ('UTC', 'GMT') or strpos(z.name, '/') > 0)
        ) then format('time_zone is %L: use a name such as UTC or Asia/Kolkata, see pg_timezone_names', left(p_row.time_zone, 80))
        when p_row.order_number_prefix !~ '^[[:graph:]]{0,40}$'
            then format('order_number_prefix is %L: use up to 40 letters, digits and signs, as in A-', left(p_row.order_number_prefix, 80))
        when p_row.amount_unit not in ('major', 'minor') then format('amount_unit is %L: use major or minor', left(p_row.amount_unit, 20))
    end);
    if v_problem is not null then
        return v_problem;
    end if;
    v_problem := (
        select case
                when written.state <> all (v_states) then format('write: %L is not a state: use %s',
                    left(written.state, 40), array_to_string(v_states, ', '))
                when jsonb_typeof(written.columns) <> 'object' then format('write: %s is not an object of columns', written.state)
                when written.columns ->> p_row.status = any (p_row.track)
                    then format('write: %s sets the status %L, which is tracked: the order would never leave',
                        written.state, written.columns ->> p_row.status)
            end
        from jsonb_each(p_row.write) as written (state, columns)
        where written.state <> all (v_states) or jsonb_typeof(written.columns) <> 'object'
           or written.columns ->> p_row.status = any (p_row.track)
        limit 1
    );
    if v_problem is not null then
        return v_problem;
    end if;
    v_problem := (
        select case
                when a.attname is null then format('%s: there is no column %I', set.argument, set.column_name)
                when a.attgenerated <> '' then format('%s: column %I is generated and can''t be written', set.argument, set.column_name)
                when a.attidentity = 'a' then format('%s: column %I is an identity and can''t be written', set.argument, set.column_name)
                when set.column_name = p_row.order_number
                    then format('%s: column %I is the order number and can''t be written', set.argument, set.column_name)
                when jsonb_typeof(set.value) in ('object', 'array') and format_type(a.atttypid, null) not in ('json', 'jsonb')
                    then format('%s: column %I takes no %s', set.argument, set.column_name, jsonb_typeof(set.value))
            end
        from (
            select 'write' as argument, assigned.key as column_name, assigned.value
            from jsonb_each(p_row.write) as written, jsonb_each(written.value) as assigned
            union all
            select 'capture', captured.value #>> '{}', '""' from jsonb_each(p_row.capture) as captured
        ) as set
        left join pg_attribute as a
            on a.attrelid = p_row.relation and a.attname = set.column_name and a.attnum > 0 and not a.attisdropped
        where a.attname is null or a.attgenerated <> '' or a.attidentity = 'a' or set.column_name = p_row.order_number
           or (jsonb_typeof(set.value) in ('object', 'array') and format_type(a.atttypid, null) not in ('json', 'jsonb'))
        limit 1
    );
    return coalesce(v_problem, reconcile_internal._lent_when_attached(p_row), (
        select format('write: %s and %s both set the status %L, and only one of them is paid',
            paid.key, other.key, paid.value ->> p_row.status)
        from jsonb_each(p_row.write) as paid, jsonb_each(p_row.write) as other
        where paid.key = 'succeeded' and other.key <> 'succeeded' and paid.value ->> p_row.status = other.value ->> p_row.status
        limit 1
    ), (
        select format('capture: provider %s captures no %L, and it is not one of transaction_id, provider_status, reference, '
            'refunded_amount, state, changed_at', p.name, left(captured.key, 40))
        from jsonb_object_keys(p_row.capture) as captured (key)
        join reconcile.providers as p on p.provider_id = p_row.provider_id
        where not p.captures ? captured.key
          and captured.key not in ('transaction_id', 'provider_status', 'reference', 'refunded_amount', 'state', 'changed_at')
        limit 1
    ), (
        select format('write and capture both set the column %I', captured.value #>> '{}')
        from jsonb_each(p_row.capture) as captured
        where exists (select from jsonb_each(p_row.write) as written where written.value ? (captured.value #>> '{}'))
        limit 1
    ), reconcile_internal._could_be_another_tables(p_row), (
        select format('provider %s asks by reference, and the table has no column with a usual name for it: name it', p.name)
        from reconcile.providers as p
        where p.provider_id = p_row.provider_id and p_row.reference is null and p.without_reference = '{}'
          and reconcile_internal.needs_reference(p.url, p.headers, p.body)
    ));
end
$$;

comment on function reconcile_internal._attachment_problem(reconcile.attachments) is
    'Why a table can''t be attached this way; NULL when it can.';

select pg_catalog.pg_extension_config_dump('reconcile.attachment_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.attachments', '');
select pg_catalog.pg_extension_config_dump('reconcile.attachment_sweeps', '');
select pg_catalog.pg_extension_config_dump('reconcile.detached_tables', '');
