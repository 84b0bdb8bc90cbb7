-- Who asks for something that will later run with his rights (attaching a table, a hook, a lookup), or that the audit keeps with his name.
--
-- A function that runs with the extension's rights can't learn its caller's role. So these calls run with the caller's: they write what
-- is asked for here, where the role is a column that nobody may write, and only then have it done with the extension's rights.
-- Good for the transaction in which it was written, and kept as the record of who asked for what.
-- Requires: masking.

create sequence reconcile.declaration_ids;

create table reconcile.declarations (
    declaration_id bigint primary key default nextval('reconcile.declaration_ids'),
    what text not null check (length(what) <= 60),
    -- Written out, as a dump does: 1e131071 takes a few bytes here and 131,072 digits there.
    arguments jsonb not null check (octet_length(arguments::text) <= 1048576),
    declared_by name not null default current_user,
    declared_at timestamptz not null default clock_timestamp(),
    declared_in xid8 not null default pg_current_xact_id(),
    done_at timestamptz,
    session_role name not null default session_user
);

comment on table reconcile.declarations is 'Calls of add_provider, attach_table, add_hook, call_hook_again, resolve_order and their kin, and the roles that made them.';
comment on column reconcile.declarations.declaration_id is 'The call.';
comment on column reconcile.declarations.what is 'Which function was called.';
comment on column reconcile.declarations.arguments is 'With what.';
comment on column reconcile.declarations.declared_by is 'The role that called it, whose rights what comes of it will have.';
comment on column reconcile.declarations.declared_at is 'When.';
comment on column reconcile.declarations.declared_in is 'The transaction for which it is good.';
comment on column reconcile.declarations.done_at is 'When it was done: it is good for once.';
comment on column reconcile.declarations.session_role is 'Whose session it was: another role''s where a function or a hook called.';

-- Run with the rights of the caller: so the row knows the caller's role, and nobody can write another one into it.
create function reconcile_doors.declare(p_what text, p_arguments jsonb) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- What is NULL was left out. Not jsonb_strip_nulls, which would also reach into a status map and lose a word there.
    insert into reconcile.declarations (what, arguments)
    select p_what, coalesce(jsonb_object_agg(argument.key, argument.value) filter (where argument.value <> 'null'), '{}')
    from jsonb_each(p_arguments) as argument;
    -- The id is nobody's to choose, and its caller may not read the table.
    return currval('reconcile.declaration_ids');
end
$$;

comment on function reconcile_doors.declare(text, jsonb) is 'Writes what the caller asks for, with the caller''s role; answers its id.';

create function reconcile_internal._take_declaration(p_id bigint) returns reconcile.declarations
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_declaration reconcile.declarations;
begin
    update reconcile.declarations as d
    set done_at = clock_timestamp()
    where d.declaration_id = p_id and d.declared_in = pg_current_xact_id_if_assigned() and d.done_at is null
      and pg_column_size(d.arguments) <= 262144
    returning d.* into v_declaration;
    if not found then
        raise exception 'nobody has asked for this in this transaction' using errcode = 'RC005',
            hint = 'Call reconcile.attach_table, add_hook, add_provider and their kin, with arguments of 256 kB at most.';
    end if;
    return v_declaration;
end
$$;

comment on function reconcile_internal._take_declaration(bigint) is 'What was asked for in this transaction and is not done yet, or an error.';

-- A function that an operator wrote may decide in somebody else's session: the audit names both.
create function reconcile_internal._decided_by(p_declaration reconcile.declarations) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_declaration.declared_by = session_user then session_user::text
        else format('%s, in a session of %s', p_declaration.declared_by, session_user) end;
end
$$;

comment on function reconcile_internal._decided_by(reconcile.declarations) is
    'Who asked for something, for the audit: the role that called, and the session''s where it is another one.';

-- What makes and drops functions for a role also grants and revokes its way to them, which is one row of the catalog for all of them. By a
-- table's lock and not an advisory one, which anybody may hold.
create function reconcile_internal._one_at_a_time(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
    if p_declaration.what in ('attach_table', 'detach_table', 'add_hook', 'remove_hook', 'remove_provider')
        or p_declaration.arguments ?| '{lookup_call,lookup_table}'
    then
        lock table reconcile.attachments in share row exclusive mode;
    end if;
exception
    when lock_not_available then
        raise exception '%: another call that attaches, detaches, adds or removes is under way, and its transaction has not ended for 5 s',
            p_declaration.what
            using errcode = 'RC009', hint = 'Nothing was changed. Try again when that transaction has ended: pg_stat_activity has it.';
end
$$;

comment on function reconcile_internal._one_at_a_time(reconcile.declarations) is
    'Lets one transaction at a time make or drop what is called with the rights of others; reading goes on meanwhile.';

create function reconcile_doors.do_declared(p_declaration_id bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
-- Names are kept as they are compared later.
set quote_all_identifiers = off
as $$
declare
    v_declaration reconcile.declarations := reconcile_internal._take_declaration(p_declaration_id);
    -- Assigned, not performed: an error's context then is short.
    v_done text;
begin
    -- Who may declare may not do everything yet.
    if not exists (
        select from pg_proc as p
        where p.pronamespace = 'reconcile'::regnamespace and p.proname = v_declaration.what
          and has_function_privilege(v_declaration.declared_by, p.oid, 'execute')
    ) then
        raise exception '% may not call %', v_declaration.declared_by, coalesce(quote_literal(left(v_declaration.what, 80)), 'NULL')
            using errcode = '42501', hint = 'Its privileges are granted by sql/migrations/001_roles.sql.';
    end if;
    v_done := reconcile_internal._one_at_a_time(v_declaration);
    case v_declaration.what
        when 'add_provider' then v_done := reconcile_internal._add_provider(v_declaration);
        when 'alter_provider' then v_done := reconcile_internal._alter_provider(v_declaration);
        when 'attach_table' then
            -- It tries the table out, a dry run too.
            v_done := reconcile_internal._check_session();
            return reconcile_internal._attach_table(v_declaration);
        when 'detach_table' then v_done := reconcile_internal._detach_table(v_declaration);
        when 'add_hook' then v_done := reconcile_internal._add_hook(v_declaration);
        when 'remove_hook' then v_done := reconcile_internal._remove_hook(v_declaration);
        when 'call_hook_again' then return reconcile_internal._call_hook_again(v_declaration);
        when 'resolve_order' then v_done := reconcile_internal._resolve_order(v_declaration);
        when 'pause_provider' then v_done := reconcile_internal._pause_provider(v_declaration);
        when 'resume_provider' then v_done := reconcile_internal._resume_provider(v_declaration);
        when 'remove_provider' then v_done := reconcile_internal._remove_provider(v_declaration);
        when 'add_endpoint' then v_done := reconcile_internal._add_endpoint(v_declaration);
        when 'pause_endpoint' then v_done := reconcile_internal._pause_endpoint(v_declaration);
        when 'resume_endpoint' then v_done := reconcile_internal._resume_endpoint(v_declaration);
        when 'remove_endpoint' then v_done := reconcile_internal._remove_endpoint(v_declaration);
        else
            raise exception 'there is nothing called %', coalesce(quote_literal(left(v_declaration.what, 80)), 'NULL') using errcode = 'RC005';
    end case;
    return null;
end
$$;

comment on function reconcile_doors.do_declared(bigint) is
    'Does what was asked for in this transaction, with the extension''s rights and for the role that asked; answers what came of it.';

create view reconcile.decisions as
select d.declaration_id, d.what, d.arguments, d.declared_by, d.session_role, d.declared_at, d.done_at
from reconcile.declarations as d
where d.done_at is not null;

comment on view reconcile.decisions is
    'Who did what: attaching, hooks, providers, endpoints, and decisions about orders. Secrets stand in it by their names, as they were given.';
comment on column reconcile.decisions.declaration_id is 'The call.';
comment on column reconcile.decisions.what is 'Which function was called.';
comment on column reconcile.decisions.arguments is 'With what, but for what was left out; tables and functions by their numbers (12345::regclass).';
comment on column reconcile.decisions.declared_by is 'The role that called it: a hook''s owner, or the owner of a function that called.';
comment on column reconcile.decisions.session_role is 'Whose session it was.';
comment on column reconcile.decisions.declared_at is 'When it was called.';
comment on column reconcile.decisions.done_at is 'When it was done.';

select pg_catalog.pg_extension_config_dump('reconcile.declaration_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.declarations', '');
