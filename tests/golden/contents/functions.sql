-- Each function's rights and habits: whose rights it runs with, what is set while it runs. Only C functions take no path.
\pset format unaligned
\pset footer off
select
    replace(p.oid::regprocedure::text, ',', ', ') as function,
    l.lanname as language,
    case when p.prosecdef then 'owner' else 'caller' end as runs_as,
    case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as changes,
    case p.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end as parallel,
    p.proisstrict as strict,
    array_to_string(p.proconfig, '; ') as settings
from pg_depend as d
join pg_extension as e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
join pg_proc as p on d.classid = 'pg_proc'::regclass and d.objid = p.oid
join pg_language as l on l.oid = p.prolang
where e.extname = 'pg_reconcile'
order by p.pronamespace::regnamespace::text, p.proname, 1;
