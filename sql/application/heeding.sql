-- What an application's row says, and what the ledger knows of that: the inputs of heed, which rules whose word holds.
--
-- What the ledger wrote to a row, and what it has followed there, is told by the order's transitions. Two things are not, so they are
-- kept: what could not be written yet, and a word that a person, or the provider's money, has overruled.
-- Locks: none of its own. Who writes here holds the order's row in tracked_orders.
-- Requires: holding.

create table reconcile.owed_writes (
    order_id bigint primary key,
    attachment_id integer not null,
    transition_id bigint not null,
    owed_since timestamptz not null default clock_timestamp()
);

create index owed_writes_attachment on reconcile.owed_writes (attachment_id, order_id);

comment on table reconcile.owed_writes is 'Rows of attached tables to which a transition could not be written, and is by a later search.';
comment on column reconcile.owed_writes.order_id is 'The order.';
comment on column reconcile.owed_writes.attachment_id is 'The attached table.';
comment on column reconcile.owed_writes.transition_id is 'The transition that is to be written.';
comment on column reconcile.owed_writes.owed_since is 'Since when.';

create table reconcile.heard_words (
    order_id bigint primary key,
    word text not null,
    status text
);

comment on table reconcile.heard_words is
    'What a row said when its order went elsewhere all the same: by a person''s decision, or by money that the provider took. Not heard twice.';
comment on column reconcile.heard_words.order_id is 'The order.';
comment on column reconcile.heard_words.word is 'What the row said, as the judge takes it.';
comment on column reconcile.heard_words.status is 'The row''s status.';

-- Where an application's status stands for a state, by what is written for that state.
create function reconcile_internal._state_of_status(p_row reconcile.attachments, p_status text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select states.state
        from unnest('{succeeded,failed,cancelled,refunded,review}'::text[]) with ordinality as states (state, place)
        where p_row.write -> states.state ->> p_row.status = p_status
        order by states.place
        limit 1
    );
end
$$;

comment on function reconcile_internal._state_of_status(reconcile.attachments, text) is
    'The state for which a status is written to an attached table; NULL when it is none of these.';

create function reconcile_internal._word_of(p_row reconcile.attachments, p_is_there boolean, p_status text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when not p_is_there then 'gone'
        when p_status = any (p_row.track) then 'tracked'
        else coalesce(reconcile_internal._state_of_status(p_row, p_status), 'other')
    end;
end
$$;

comment on function reconcile_internal._word_of(reconcile.attachments, boolean, text) is 'What a row of an attached table says, as the judge takes it.';

-- The latest that was written to the row or heard from it. A state for which no status is written leaves the row as it was, and so does a
-- person who opens the order again, and what is owed.
create function reconcile_internal._last_told(p_row reconcile.attachments, p_order_id bigint, p_before bigint default null)
returns reconcile.transitions
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_told reconcile.transitions;
begin
    select t.* into v_told
    from reconcile.transitions as t
    where t.order_id = p_order_id and (p_before is null or t.transition_id < p_before)
      and (t.cause = 'application' or p_row.write -> t.to_state ? p_row.status)
      and not exists (select from reconcile.owed_writes as w where w.order_id = t.order_id and w.transition_id = t.transition_id)
    order by t.transition_id desc
    limit 1;
    return v_told;
end
$$;

comment on function reconcile_internal._last_told(reconcile.attachments, bigint, bigint) is
    'An order''s latest transition that was written to its row or came from it, or the latest before another one; NULL when there is none.';

create function reconcile_internal._known_of(
    p_row reconcile.attachments, p_order reconcile.tracked_orders, p_word text, p_status text
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_told reconcile.transitions := reconcile_internal._last_told(p_row, p_order.order_id);
    v_heard reconcile.heard_words;
    v_is_left boolean := coalesce(v_told.cause <> 'application' and p_row.write -> v_told.to_state ->> p_row.status = p_status, false)
        and p_word <> 'gone';
begin
    if (p_word = 'tracked' or v_is_left) and exists (select from reconcile.owed_writes as w where w.order_id = p_order.order_id) then
        return 'owed';
    elsif p_word = 'tracked' then
        return case when p_order.settled_by = 'application' or p_row.write -> p_order.state ? p_row.status then 'new' else 'left' end;
    elsif v_is_left then
        return 'left';
    end if;
    select h.* into v_heard from reconcile.heard_words as h where h.order_id = p_order.order_id;
    if found then
        return case when v_heard.word = p_word and v_heard.status is not distinct from p_status then 'heard' else 'new' end;
    end if;
    return case when v_told.cause = 'application' and v_told.to_state = case when p_word in ('other', 'gone') then 'cancelled' else p_word end
        then 'heard' else 'new' end;
end
$$;

comment on function reconcile_internal._known_of(reconcile.attachments, reconcile.tracked_orders, text, text) is
    'What the ledger knows of what a row says: left, heard, new or owed, as the judge takes it.';

create function reconcile_internal._hear(p_order_id bigint, p_word text, p_status text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.heard_words as h (order_id, word, status) values (p_order_id, p_word, p_status)
    on conflict (order_id) do update set word = excluded.word, status = excluded.status;
end
$$;

comment on function reconcile_internal._hear(bigint, text, text) is 'Keeps what a row says, so that it is not taken for a new decision.';

select pg_catalog.pg_extension_config_dump('reconcile.owed_writes', '');
select pg_catalog.pg_extension_config_dump('reconcile.heard_words', '');
