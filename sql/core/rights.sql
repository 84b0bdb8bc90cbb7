-- Whose everything is, and that nothing is granted to PUBLIC. Who may do what stands in sql/migrations/001_roles.sql.
-- Requires: everything.

do $$
declare
    v_alter text;
begin
    for v_alter in
        select pg_catalog.format('alter %s %s owner to reconcile_owner', member.kind, member.name)
        from pg_catalog.pg_depend as d
        join pg_catalog.pg_extension as e on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
        cross join lateral (
            select 'schema' as kind, pg_catalog.quote_ident(n.nspname) as name
            from pg_catalog.pg_namespace as n
            where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and n.oid = d.objid
            union all
            select 'routine', p.oid::pg_catalog.regprocedure::text
            from pg_catalog.pg_proc as p
            where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and p.oid = d.objid
            union all
            select case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, c.oid::pg_catalog.regclass::text
            from pg_catalog.pg_class as c
            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = d.objid and c.relkind in ('r', 'p', 'v', 'S')
            union all
            select 'type', t.oid::pg_catalog.regtype::text
            from pg_catalog.pg_type as t
            join pg_catalog.pg_class as c on c.oid = t.typrelid and c.relkind = 'c'
            where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid = d.objid
        ) as member
        where e.extname = 'pg_reconcile' and d.deptype = 'e'
    loop
        execute v_alter;
    end loop;
end
$$;

-- A call that is cancelled says where it was, which is a whole statement of these functions, each time: what is an error is in its first
-- line, and a full disk is not the moment for the rest.
do $$
declare
    v_alter text;
begin
    for v_alter in
        select pg_catalog.format('alter function %s set log_error_verbosity = terse', p.oid::pg_catalog.regprocedure)
        from pg_catalog.pg_proc as p
        join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
        where p.prosecdef and p.prokind = 'f' and n.nspname in ('reconcile', 'reconcile_doors')
    loop
        execute v_alter;
    end loop;
end
$$;

alter function @extschema@.reconcile_order(text, interval, boolean) set log_error_verbosity = terse;
alter function @extschema@.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz) set log_error_verbosity = terse;
alter function @extschema@.order_details(text, interval) set log_error_verbosity = terse;

revoke all on all routines in schema reconcile, reconcile_internal, reconcile_doors from public;
revoke all on function @extschema@.reconcile_order(text, interval, boolean) from public;
revoke all on function @extschema@.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz) from public;
revoke all on function @extschema@.order_details(text, interval) from public;
revoke all on type reconcile.reconciled_order from public;
revoke all on type reconcile.previewed_answer from public;
revoke all on type reconcile_internal.said from public;
revoke all on type reconcile_internal.answer_read from public;
revoke all on type reconcile_internal.claimed_share from public;
revoke all on type reconcile_internal.given_answer from public;
revoke all on type reconcile_internal.judged_answer from public;
revoke all on type reconcile_internal.new_order from public;
revoke all on type reconcile.application_row from public;
revoke all on type reconcile_doors.part from public;
