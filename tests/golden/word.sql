-- Whose word holds, for every state and settler, by every word of the application's row, by what is known of that word.
-- Without an outcome the row was only looked at. What is not listed stays.
\pset format unaligned
\pset footer off
with ruled as (
    select state, settled_by, word, known, string_agg(coalesce(outcome, 'none'), ' ' order by place) as outcomes,
        reconcile_internal.heed(state, settled_by, word, known, outcome) as ruling
    from unnest('{pending,processing,succeeded,failed,cancelled,refunded,review}'::text[]) as state
    cross join unnest('{NULL,provider,giving_up,operator,application}'::text[]) as settled_by
    cross join unnest('{tracked,succeeded,failed,cancelled,refunded,review,other,gone}'::text[]) as word
    cross join unnest('{left,heard,new,owed}'::text[]) as known
    cross join unnest('{NULL,succeeded,failed,cancelled,refunded,pending,not_found,unknown_status,mismatch,throttled,provider_error,unreachable,refused}'::text[])
        with ordinality as said (outcome, place)
    where (settled_by is null) = (state in ('pending', 'processing'))
    group by 1, 2, 3, 4, 6
)
select state, string_agg(distinct coalesce(settled_by, 'nobody'), ' ') as settled_by, word, string_agg(distinct known, ' ') as known, outcomes, ruling
from ruled
where ruling <> 'stays'
group by state, word, outcomes, ruling
order by state collate "C", word collate "C", outcomes collate "C", ruling collate "C";
