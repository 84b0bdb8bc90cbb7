-- What a provider's row may say of time: when it is asked, when that ends, and how often it may be asked.
-- Requires: paths.

create function reconcile_internal._complaints_of_ending(p_row reconcile.providers)
returns table (field text, problem text, remedy text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select complaint.field, complaint.problem, complaint.remedy
    from (values
        ('schedule', reconcile.schedule_error(p_row.schedule) is not null, reconcile.schedule_error(p_row.schedule),
            'Write steps such as 60s, 30s x3, 1m, then 5m, or then 30s growing by 2 up to 10m.'),
        ('late_watch', p_row.late_watch <> 'none' and reconcile.schedule_error(p_row.late_watch) is not null,
            reconcile.schedule_error(p_row.late_watch), 'Write steps such as 1h, 23h, 2d, or none.'),
        ('refund_watch', p_row.refund_watch <> 'none' and reconcile.schedule_error(p_row.refund_watch) is not null,
            reconcile.schedule_error(p_row.refund_watch), 'Write steps such as 1d, 6d, 23d, or none.'),
        ('max_tries', p_row.max_tries not between 1 and 100000, format('%s is out of range', p_row.max_tries),
            'Use 1 to 100000, or NULL for no limit.'),
        ('deadline', p_row.deadline not between '1 second' and '10 years', format('%s is out of range', p_row.deadline),
            'Use a time between 1 second and 10 years, or NULL for no limit.'),
        ('not_found_grace', p_row.not_found_grace not between '0' and '1 year', format('%s is out of range', p_row.not_found_grace),
            'Use a time between 0 and 1 year.'),
        ('not_found_as', p_row.not_found_as not in ('pending', 'failed', 'cancelled', 'review'),
            format('%L is not an ending', left(p_row.not_found_as, 20)), 'Use pending, failed, cancelled or review.'),
        ('gives_up_as', p_row.gives_up_as not in ('failed', 'cancelled', 'review'),
            format('%L is not an ending', left(p_row.gives_up_as, 20)), 'Use failed, cancelled or review.'),
        ('late_success', p_row.late_success not in ('revive', 'review'), format('%L is not a policy', left(p_row.late_success, 20)),
            'Use revive or review.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused;
end
$$;

comment on function reconcile_internal._complaints_of_ending(reconcile.providers) is
    'What is wrong with when a provider is asked, and when that ends.';

create function reconcile_internal._complaints_of_limits(p_row reconcile.providers)
returns table (field text, problem text, remedy text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select complaint.field, complaint.problem, complaint.remedy
    from (values
        ('rate_limit', p_row.rate_limit not between 1 and 1000000, format('%s is out of range', p_row.rate_limit),
            'Use 1 to 1000000 calls a rate_interval, or NULL for no limit.'),
        ('rate_interval', p_row.rate_interval not between '1 second' and '1 day', format('%s is out of range', p_row.rate_interval),
            'Use a time between 1 second and 1 day.'),
        ('burst', p_row.burst not between 1 and 100000, format('%s is out of range', p_row.burst),
            'Use 1 to 100000 calls in any second, or NULL for no limit.'),
        ('gap', p_row.gap not between '1 millisecond' and '1 hour', format('%s is out of range', p_row.gap),
            'Use a time between 1 millisecond and 1 hour, or NULL for no gap.'),
        ('concurrency', p_row.concurrency not between 1 and 10000, format('%s is out of range', p_row.concurrency),
            'Use 1 to 10000 calls at a time.'),
        ('breaker_after', p_row.breaker_after not between 1 and 100000, format('%s is out of range', p_row.breaker_after),
            'Use 1 to 100000 checks.'),
        ('timeout', p_row.timeout not between '100 milliseconds' and '5 minutes', format('%s is out of range', p_row.timeout),
            'Use a time between 100 milliseconds and 5 minutes.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused;
end
$$;

comment on function reconcile_internal._complaints_of_limits(reconcile.providers) is
    'What is wrong with a providers limits.';
