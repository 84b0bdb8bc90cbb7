-- Who may do what. Applied with psql after CREATE EXTENSION, as the extension's owner; safe to apply twice.
--
--   psql -d shop -v ON_ERROR_STOP=1 -f sql/migrations/001_roles.sql
--
-- Four roles can't log in: grant them to roles that can. The fifth, reconcile_cron, is what pg_cron runs the schedules as: it
-- may log in, has no password, and is an operator; so that no schedule runs with a superuser's rights.

begin;

set local search_path = pg_catalog, pg_temp;

do $$
declare
    v_role text;
begin
    foreach v_role in array array['reconcile_app', 'reconcile_sidecar', 'reconcile_operator', 'reconcile_reader', 'reconcile_cron'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            begin
                execute format('create role %I nologin', v_role);
            exception
                -- Somebody was faster, for another database of the cluster.
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
end
$$;

alter role reconcile_cron login;
-- Code of an application that does not end keeps a run from ending, and pg_cron from beginning the next one. One that catches even
-- this is ended by reconcile.end_overlong_sessions().
alter role reconcile_cron set statement_timeout = '2min';
grant reconcile_operator to reconcile_cron;

grant usage on schema reconcile to reconcile_app, reconcile_sidecar, reconcile_operator, reconcile_reader;

-- The application: hands over orders, and asks about them.
grant execute on function
    reconcile.track_order(text, text, text, numeric, text, jsonb, timestamptz, text),
    reconcile.record_webhook(text, text, jsonb, text, text)
to reconcile_app, reconcile_operator;

-- The three calls live in the schema that CREATE EXTENSION was given.
do $$
declare
    v_call regprocedure;
    v_schema text := (
        select quote_ident(n.nspname) from pg_catalog.pg_extension as e
        join pg_catalog.pg_namespace as n on n.oid = e.extnamespace where e.extname = 'pg_reconcile'
    );
begin
    execute format('grant usage on schema %s to reconcile_app, reconcile_operator', v_schema);
    foreach v_call in array array[
        v_schema || '.reconcile_order(text, interval, boolean)',
        v_schema || '.order_details(text, interval)'
    ]::regprocedure[] loop
        execute format('grant execute on function %s to reconcile_app, reconcile_operator', v_call);
    end loop;
    execute format(
        'grant execute on function %s to reconcile_operator',
        (v_schema || '.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz)')::regprocedure
    );
end
$$;

-- The sidecar: its protocol and nothing else. It reads no table.
grant execute on function
    reconcile.sidecar_start(text, text, integer),
    reconcile.sidecar_heartbeat(bigint, integer),
    reconcile.sidecar_claim(bigint, integer),
    reconcile.sidecar_provider(text, integer, boolean),
    reconcile.sidecar_report(bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[]),
    reconcile.sidecar_release(bigint, bigint[], bigint[]),
    reconcile.sidecar_report_tests(bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[]),
    reconcile.sidecar_release_tests(bigint, bigint[], bigint[]),
    reconcile.sidecar_stop(bigint),
    reconcile.sidecar_backlog(bigint),
    reconcile.sidecar_follow(bigint, integer),
    reconcile.sidecar_settle_webhooks(bigint, integer),
    reconcile.sidecar_claim_deliveries(bigint, integer),
    reconcile.sidecar_next_delivery(),
    reconcile.sidecar_report_deliveries(bigint, bigint[], bigint[], text[], integer[], text[], integer[], integer[]),
    reconcile.sidecar_release_deliveries(bigint, bigint[], bigint[]),
    reconcile.end_overlong_sessions()
to reconcile_sidecar;

-- Events: whoever follows orders may read them; where they are sent is the operator's to say.
grant execute on function reconcile.read_events(bigint, integer) to reconcile_app, reconcile_operator, reconcile_reader;
grant execute on function
    reconcile.add_endpoint(text, text, text, text[], interval, integer, integer, bigint, text),
    reconcile.pause_endpoint(text, text),
    reconcile.resume_endpoint(text),
    reconcile.remove_endpoint(text),
    reconcile.replay_events(text, bigint[])
to reconcile_operator;
grant select on reconcile.endpoints, reconcile.parked_deliveries to reconcile_reader, reconcile_operator;

-- The operator: describes providers, decides about orders, keeps house; and reads.
grant execute on function
    reconcile.add_provider, reconcile.alter_provider, reconcile.preview_response, reconcile.test_provider,
    reconcile.pause_provider(text, text),
    reconcile.resume_provider(text),
    reconcile.remove_provider(text),
    reconcile.resolve_order(text, text, text),
    reconcile.attach_table, reconcile.detach_table(regclass), reconcile.take_in(regclass, integer),
    reconcile.add_hook(text, text, regprocedure, text, regclass, boolean), reconcile.remove_hook(text),
    reconcile.call_hook_again(text, text[], boolean),
    reconcile.housekeep(), reconcile.end_overlong_sessions()
to reconcile_operator;
grant execute on procedure reconcile.check_stale_orders() to reconcile_operator;
-- Its parts, which it calls with its caller's rights, so that it may commit between them.
grant execute on function
    reconcile_doors.begin_run(), reconcile_doors.parts_of_run(), reconcile_doors.search_attached(integer),
    reconcile_doors.settle_due(integer), reconcile_doors.end_run(bigint, integer, integer),
    reconcile_doors.number_events(),
    reconcile_doors.note_trouble(text, text, text)
to reconcile_operator;
-- Who ends his own sessions looks for them with his own rights; they are an alert for readers, too.
grant execute on function reconcile.overlong_sessions() to reconcile_sidecar, reconcile_operator, reconcile_reader;
-- What is done later with the rights of the role that asked for it is declared first, in a row that knows the role.
grant usage on schema reconcile_doors to reconcile_operator;
grant execute on function
    reconcile_doors.declare(text, jsonb), reconcile_doors.do_declared(bigint), reconcile_doors.make_triggers(regclass, integer)
to reconcile_operator;
grant insert (what, arguments) on reconcile.declarations to reconcile_operator;
grant usage on sequence reconcile.declaration_ids to reconcile_operator;
-- Not how long the audit is kept: who decides about orders does not decide about their evidence.
grant select, update (runs_kept, stuck_after, last_check_within, effect_tries, longest_run) on reconcile.settings to reconcile_operator;

-- The presets: one function a provider, installed with the extension.
do $$
declare
    v_preset regprocedure;
begin
    for v_preset in
        select p.oid from pg_catalog.pg_proc as p
        where p.pronamespace = 'reconcile'::regnamespace and p.proname ~ '^add_' and p.proname not in ('add_provider', 'add_hook', 'add_endpoint')
    loop
        execute format('grant execute on function %s to reconcile_operator', v_preset);
    end loop;
end
$$;

-- Readers: the views, and an order's story.
grant select on
    reconcile.orders, reconcile.stale_orders, reconcile.stuck_orders, reconcile.order_history, reconcile.checks,
    reconcile.runs, reconcile.provider_health, reconcile.sidecars, reconcile.alerts, reconcile.webhooks, reconcile.attached_tables,
    reconcile.unwatched_rows, reconcile.hooks, reconcile.hook_calls, reconcile.lookups, reconcile.failed_effects, reconcile.second_payments,
    reconcile.violations, reconcile.decisions
to reconcile_reader, reconcile_operator;
-- A view reads tables as its owner, and calls functions as its reader.
grant execute on function
    reconcile_internal._sidecar_alive_within(), reconcile_internal._date_of_steady(), reconcile_internal._counted(bigint, text, text), reconcile_internal._vacuum_holders(), reconcile_internal._column_type(regclass, text),
    reconcile_internal._renamed(reconcile.attachments),
    reconcile_internal._unnumbered(), reconcile_internal._number_of(bigint), reconcile_internal._events_after(bigint, bigint),
    reconcile_internal._transition_of(bigint),
    reconcile_internal._is_withdrawn(reconcile.registered_hooks)
to reconcile_reader, reconcile_operator;
-- Good for trying a schedule, and for replaying a decision.
grant execute on function reconcile.schedule_error(text), reconcile.schedule_delay_ms(text, integer, text), reconcile.decide
to reconcile_reader, reconcile_operator;
grant execute on function reconcile.explain_order(text) to reconcile_reader, reconcile_operator, reconcile_app;

commit;
