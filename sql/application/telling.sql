-- What the triggers of attached tables tell: a few rows are followed at once, many are noted, and nothing is believed.
--
-- In the application's own transaction, so nothing here waits for long, and nothing fails it.
-- Requires: numbers.

-- Nothing that is given here is believed: the rows are read. A note stays small: where a number is longer than any order's could sensibly
-- be, the table is searched instead.
create function reconcile_internal._note_rows(p_attachment_id integer, p_order_numbers text[], p_problem text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
    v_is_fixed constant boolean := current_setting('transaction_isolation') <> 'read committed';
    v_numbers text[] := case when (select max(length(given.order_number)) from unnest(p_order_numbers) as given (order_number)) > 2000
        then null else p_order_numbers end;
begin
    select a.* into v_row from reconcile.attachments as a where a.attachment_id = p_attachment_id;
    if not found then
        return;
    end if;
    v_numbers := reconcile_internal._numbers_of(v_row, v_numbers);
    if v_numbers is null then
        -- One note to look at everything is enough, and who can't say which rows changed may say so very often. With a fixed
        -- snapshot it is not looked for: what a serializable transaction reads here could be why it fails.
        if v_is_fixed or not exists (
            select from reconcile.arrivals as a where a.attachment_id = p_attachment_id and a.order_numbers is null
        ) then
            insert into reconcile.arrivals (attachment_id, order_numbers) values (p_attachment_id, null);
        end if;
        if p_problem is not null then
            raise warning 'reconcile: changed rows of an attached table could not be read and are looked for later: %',
                reconcile_internal._problem_of(p_problem, 1000);
        end if;
    elsif v_numbers = '{}' then
        return;
    -- Rows without a number have one note in common, which only one transaction can write at a time.
    elsif cardinality(v_numbers) > 100 or v_is_fixed or p_problem is not null
        or array_position(v_numbers, null) is not null or array_position(v_numbers, '') is not null
    then
        insert into reconcile.arrivals (attachment_id, order_numbers)
        select p_attachment_id, v_numbers[first : first + 499]
        from generate_series(1, cardinality(v_numbers), 500) as first;
    else
        perform reconcile_internal._follow(p_attachment_id, v_numbers, true);
    end if;
end
$$;

comment on function reconcile_internal._note_rows(integer, text[], text) is
    'What the triggers of an attached table say: a few rows are followed at once, many are noted. NULL for rows that are not known.';
