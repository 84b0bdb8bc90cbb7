-- Who may do what after sql/migrations/001_roles.sql. X execute, U usage, r select, a insert, w update, d delete, and what
-- else there is as D truncate, x references, t trigger, C create. The stranger has only what PUBLIC has.
\pset format unaligned
\pset footer off
create function allowed(role text, class oid, object oid) returns text language sql as $$
    select coalesce(string_agg(letter, '' order by place), '')
    from (values (1, 'SELECT', 'r'), (2, 'INSERT', 'a'), (3, 'UPDATE', 'w'), (4, 'DELETE', 'd'), (5, 'TRUNCATE', 'D'),
        (6, 'REFERENCES', 'x'), (7, 'TRIGGER', 't'), (8, 'EXECUTE', 'X'), (9, 'USAGE', 'U'), (10, 'CREATE', 'C')) as p (place, privilege, letter)
    where case
        when class = 'pg_proc'::regclass then privilege = 'EXECUTE' and has_function_privilege(role, object, 'EXECUTE')
        when class = 'pg_type'::regclass then privilege = 'USAGE' and has_type_privilege(role, object, 'USAGE')
        when class = 'pg_namespace'::regclass then privilege in ('USAGE', 'CREATE') and has_schema_privilege(role, object, privilege)
        when privilege in ('EXECUTE', 'CREATE') then false
        when (select relkind from pg_class where oid = object) = 'S'
            then privilege in ('SELECT', 'UPDATE', 'USAGE') and has_sequence_privilege(role, object, privilege)
        else privilege <> 'USAGE' and (has_table_privilege(role, object, privilege)
            or privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(role, object, privilege))
    end
$$;
select
    i.type, replace(replace(i.identity, 'pg_catalog.', ''), 'timestamp with time zone', 'timestamptz') as object,
    allowed('reconcile_app', d.classid, d.objid) as app,
    allowed('reconcile_sidecar', d.classid, d.objid) as sidecar,
    allowed('reconcile_operator', d.classid, d.objid) as operator,
    allowed('reconcile_reader', d.classid, d.objid) as reader,
    allowed('stranger', d.classid, d.objid) as stranger
from pg_depend as d
join pg_extension as e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
cross join lateral pg_identify_object(d.classid, d.objid, 0) as i
where e.extname = 'pg_reconcile'
  and d.classid in ('pg_namespace'::regclass, 'pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
order by array_position(array['schema', 'view', 'table', 'sequence', 'type', 'composite type', 'function'], i.type), i.identity;
