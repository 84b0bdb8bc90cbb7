-- The schemas, and the role that everything of the extension belongs to.
--
--   reconcile            what people read and call; `\df reconcile.*` is the reference
--   reconcile_internal   functions that only the extension itself calls: nobody else has USAGE
--   reconcile_generated  functions that are made for applications' tables, hooks and lookups: nobody else has USAGE
--   reconcile_doors      what has to run with the rights of the caller, or of the owner of an attached table
--
-- The objects get their owner at the end, in rights.sql: before anything is granted, since PostgreSQL 15 and 16 keep what was granted
-- while an extension is made and don't look at it again when an owner changes.

-- For the whole of the installation: nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

do $$
declare
    v_problem text;
begin
    if not exists (select from pg_catalog.pg_roles as r where r.rolname = 'reconcile_owner') then
        begin
            create role reconcile_owner nologin;
        exception
            -- Somebody was faster, for another database of the cluster.
            when duplicate_object or unique_violation then null;
        end;
    end if;
    v_problem := (
        select case
            when r.rolcanlogin then 'it can log in'
            when r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
                then 'it has attributes of its own, such as SUPERUSER or CREATEROLE'
            when exists (select from pg_catalog.pg_auth_members as m where m.roleid = r.oid) then 'it has members'
            when exists (
                select from pg_catalog.pg_auth_members as m
                where m.member = r.oid and m.roleid <> 'pg_read_all_stats'::pg_catalog.regrole
            ) then 'it is a member of other roles than pg_read_all_stats'
        end
        from pg_catalog.pg_roles as r
        where r.rolname = 'reconcile_owner'
    );
    if v_problem is not null then
        raise exception 'the role reconcile_owner can''t own pg_reconcile: %', v_problem
            using errcode = 'invalid_role_specification',
                hint = 'Nobody but pg_reconcile may use this role. Take that from it, or drop it: CREATE EXTENSION makes it anew.';
    end if;
    -- To name the sessions that hold back vacuum, and to keep whole statements out of the server's log (rights.sql). Nothing else is
    -- granted to it, here or later.
    grant pg_read_all_stats to reconcile_owner;
    if not pg_catalog.has_parameter_privilege('reconcile_owner', 'log_error_verbosity', 'set') then
        begin
            grant set on parameter log_error_verbosity to reconcile_owner;
        exception
            -- Somebody is just granting it, for another database of the cluster.
            when internal_error or unique_violation then null;
        end;
    end if;
end
$$;

create schema reconcile;

comment on schema reconcile is
    'pg_reconcile: providers, tracked orders, the queue of checks, and the audit. Read the views; call the functions.';

create schema reconcile_internal;

comment on schema reconcile_internal is
    'Functions of pg_reconcile that only pg_reconcile calls.';

-- A function can be altered by its owner, who may take SECURITY DEFINER from it and so have it run with its caller's rights. The
-- functions that are made for applications' tables, hooks and lookups belong to others, so they stand where nobody may name them.
create schema reconcile_generated;

comment on schema reconcile_generated is
    'Functions that pg_reconcile makes for attached tables, hooks and lookups. Each belongs to the role with whose rights it runs.';

create schema reconcile_doors;

comment on schema reconcile_doors is
    'The few functions of pg_reconcile that others have to be able to call and that people don''t: what calls such as attach_table go '
    'through, and what the triggers of attached tables note.';
