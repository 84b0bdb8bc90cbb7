-- Before a row of the application is touched: its table is locked and looked at, and so is what would run with its owner's rights.
--
-- Never waits, for the table or for one of its partitions. What is seen under the lock is what is called next: whoever would place a
-- trigger, or give a partition away, waits for it.
-- Requires: attachments.

-- Not by pg_partition_tree, which waits for whoever has locked one. The children of a plain table are written to with it, too.
create function reconcile_internal._partitions(p_relation oid) returns oid[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from pg_inherits as i where i.inhparent = p_relation) then
        return '{}'::oid[];
    end if;
    return array(
        with recursive part as (
            select i.inhrelid from pg_inherits as i where i.inhparent = p_relation
            union
            select i.inhrelid from pg_inherits as i join part on i.inhparent = part.inhrelid
        )
        select part.inhrelid from part
    );
end
$$;

comment on function reconcile_internal._partitions(oid) is 'The partitions of a table and theirs, or its children; none for most.';

-- Reading runs no trigger, so a table to which nothing is written lends nothing.
create function reconcile_internal._lent_to(p_row reconcile.attachments) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if p_row.capture = '{}' and not exists (select from jsonb_each(p_row.write) as written where written.value <> '{}') then
        return null;
    end if;
    return coalesce(reconcile_internal._strange_code(p_row.relation, p_row.owner), (
        select reconcile_internal._strange_code(part.relid, p_row.owner)
        from unnest(reconcile_internal._partitions(p_row.relation)) as part (relid)
        where reconcile_internal._strange_code(part.relid, p_row.owner) is not null
        limit 1
    ));
end
$$;

comment on function reconcile_internal._lent_to(reconcile.attachments) is
    'Whose code would run with the rights of an attached table''s owner when it is written to, if not his own; NULL when nobody''s.';

-- Trying the table out runs its statement triggers already, so it is held before.
create function reconcile_internal._lent_when_attached(p_row reconcile.attachments) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from unnest(reconcile_internal._partitions(p_row.relation) || p_row.relation::oid) as part (relid)
        where not reconcile_internal._try_lock_relation(part.relid, true)
    ) then
        return 'somebody else has locked it, or one of its partitions: try again when that transaction has ended';
    end if;
    return reconcile_internal._lent_to(p_row);
end
$$;

comment on function reconcile_internal._lent_when_attached(reconcile.attachments) is
    'What _lent_to says of a table that is being attached, under the lock that writing takes.';

-- Locks the table and looks at what it is under the lock, so that what is called next works on what was attached or not at all. Nobody
-- is waited for: a table that an application has locked is nobody else's trouble.
create function reconcile_internal._hold_attached(p_row reconcile.attachments, p_writes boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text := reconcile_internal._hold_relation(p_row.relation, p_row.kind, p_row.owner, p_row.relation_name, p_writes);
begin
    if v_problem is null and exists (
        select from unnest(reconcile_internal._partitions(p_row.relation)) as part (relid)
        where not reconcile_internal._try_lock_relation(part.relid, p_writes)
    ) then
        v_problem := 'somebody else has locked one of its partitions';
    end if;
    if v_problem is null and p_writes then
        v_problem := reconcile_internal._lent_to(p_row);
    end if;
    if v_problem is null and (
        select bool_or(p.proowner <> p_row.owner::oid) from pg_proc as p
        where p.pronamespace = 'reconcile_generated'::regnamespace
          and p.proname in ('_rows_' || p_row.attachment_id, '_page_' || p_row.attachment_id, '_write_' || p_row.attachment_id)
    ) is distinct from false then
        v_problem := 'the functions that were made for it are gone or belong to another role: detach it, and attach it again';
    end if;
    if v_problem is not null then
        raise exception '%: %', p_row.relation_name, v_problem using errcode = 'RC011',
            hint = 'It is tried again by itself. Where the table is another one for good, detach it and attach it again.';
    end if;
end
$$;

comment on function reconcile_internal._hold_attached(reconcile.attachments, boolean) is
    'Locks an attached table for reading or writing, or raises RC011: somebody else has locked it, or it is not what was attached.';
