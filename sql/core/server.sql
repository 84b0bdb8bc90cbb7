-- The few functions that touch the server itself, each with the reason why SQL can't do it. Their Rust is in extension/src/server.
--
-- Nothing of pg_reconcile runs as a superuser: its tables and functions belong to reconcile_owner, which can't log in. Two of these
-- functions step over that for the length of one statement (_give_to, _request), and say so. The list is kept by a test: whatever is
-- added here, and every function that runs with its owner's rights, has to be named in tests/golden/contents.
-- Requires: schema.

create function reconcile_doors.confine(owner text) returns void
language c volatile strict
as 'MODULE_PATHNAME', 'confine_wrapper';

comment on function reconcile_doors.confine(text) is
    'What every function that is made for an owner begins with: refuses to run as anybody else, and has the rest of it run as a '
    'security-restricted operation, which leaves nothing for COMMIT. SQL has no way to ask for that. PostgreSQL takes it back when the '
    'function ends; it can''t be undone by a call.';

create function reconcile_internal._define(statements text) returns void
language c volatile strict
as 'MODULE_PATHNAME', '_define_wrapper';

comment on function reconcile_internal._define(text) is
    'Makes, alters, grants, comments on and drops what is the ledger''s own, with the caller''s rights. EXECUTE would call event triggers, which '
    'are others'' code and would run with the ledger''s rights in whoever''s session it is.';

create function reconcile_internal._give_to(function regprocedure, owner regrole) returns void
language c volatile strict
as 'MODULE_PATHNAME', '_give_to_wrapper';

comment on function reconcile_internal._give_to(regprocedure, regrole) is
    'Gives a function that was just made to the role for which it was made: a role that is no member of another can''t give it anything, '
    'so this one statement runs as a superuser. Only functions of our own, in the two schemas that are for them, and only to a role '
    'that the session has anyway.';

create function reconcile_internal._hold_relation(relation oid, kind "char", owner regrole, name text, writes boolean) returns text
language c volatile
as 'MODULE_PATHNAME', '_hold_relation_wrapper';

comment on function reconcile_internal._hold_relation(oid, "char", regrole, text, boolean) is
    'Locks a table of an application, as long as the transaction lasts and without waiting, and looks under the lock whether it is what '
    'was attached. NULL when it is; else what is wrong. LOCK TABLE needs rights on the table, and looks it up by a name.';

create function reconcile_internal._hold_function(function oid, owner regrole, name text) returns text
language c volatile
as 'MODULE_PATHNAME', '_hold_function_wrapper';

comment on function reconcile_internal._hold_function(oid, regrole, text) is
    'The same for a function of an application. SQL has no lock for functions.';

create function reconcile_internal._try_lock_relation(relation oid, writes boolean) returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_try_lock_relation_wrapper';

comment on function reconcile_internal._try_lock_relation(oid, boolean) is
    'Locks a partition of an application''s table without waiting; false when somebody else holds it.';

create function reconcile_internal._strange_code(relation oid, owner regrole) returns text
language c volatile strict
as 'MODULE_PATHNAME', '_strange_code_wrapper';

comment on function reconcile_internal._strange_code(oid, regrole) is
    'What of a table, or of a partition of it, would run with its owner''s rights when it is written to, and belongs to a role that has not '
    'these rights; NULL when nothing does. SQL looks at the catalogs as they were when its transaction began, and the triggers that run are others.';

create function reconcile_internal._can_be_read(cursor text) returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_can_be_read_wrapper';

comment on function reconcile_internal._can_be_read(text) is
    'Whether a cursor of this session could be fetched from: not the one that is just running. pg_cursors does not tell them apart.';

create function reconcile_internal._become_session() returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_become_session_wrapper';

comment on function reconcile_internal._become_session() is
    'For the rest of the function that calls it: the rights and the search_path of the session, which SQL can''t take. For '
    '_check_constraints_now alone. PostgreSQL takes it back when that function ends. False within a restricted operation, where nothing '
    'of it may be done.';

create function reconcile_internal._defer_constraints(schemas text[], names text[]) returns void
language c volatile strict
as 'MODULE_PATHNAME', '_defer_constraints_wrapper';

comment on function reconcile_internal._defer_constraints(text[], text[]) is
    'After it: these constraints are deferred again. Nothing runs by that. SET CONSTRAINTS would need USAGE on each schema.';

create function reconcile_internal._hold_settings() returns integer
language c volatile strict
as 'MODULE_PATHNAME', '_hold_settings_wrapper';

comment on function reconcile_internal._hold_settings() is
    'Before code of an application is called: opens a level of settings and answers it. A function''s SET clause does not take back a '
    'plain SET within it.';

create function reconcile_internal._give_back_settings(level integer) returns void
language c volatile strict
as 'MODULE_PATHNAME', '_give_back_settings_wrapper';

comment on function reconcile_internal._give_back_settings(integer) is
    'After code of an application was called: takes back every setting, the search_path above all, that it has changed for the session.';

create function reconcile_internal._maker_of(context text) returns text
language c volatile strict
as 'MODULE_PATHNAME', '_maker_of_wrapper';

comment on function reconcile_internal._maker_of(text) is
    'Who made the error that has this context and was caught last: cancelled, raised, or other; NULL when that was not seen. SQL knows only the '
    'error''s texts, in which names of an application''s stand.';

create function reconcile_internal._time_is_up() returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_time_is_up_wrapper';

comment on function reconcile_internal._time_is_up() is
    'Whether the time limit of the running statement has come. PostgreSQL says so once, by cancelling it, and nothing shows it afterwards.';

create function reconcile_internal._renew_time_limit() returns void
language c volatile strict
as 'MODULE_PATHNAME', '_renew_time_limit_wrapper';

comment on function reconcile_internal._renew_time_limit() is
    'The running statement has the whole of statement_timeout from now on, if it has one. A procedure that commits is one statement, and has '
    'one limit otherwise.';

create function reconcile_internal._boot() returns text
language c stable strict parallel safe
as 'MODULE_PATHNAME', '_boot_wrapper';

comment on function reconcile_internal._boot() is
    'Which life of which machine this is: the kernel''s boot id and the namespace of its clocks, else when the server was started.';

create function reconcile_internal._since_boot(boot text) returns bigint
language c volatile strict parallel safe
as 'MODULE_PATHNAME', '_since_boot_wrapper';

comment on function reconcile_internal._since_boot(text) is
    'For how many microseconds the machine has been up, by a clock that is never set; NULL when that is another life than the one that is '
    'named. PostgreSQL has only clocks that follow the date.';

create function reconcile_internal._pause(milliseconds bigint) returns void
language c volatile strict
as 'MODULE_PATHNAME', '_pause_wrapper';

comment on function reconcile_internal._pause(bigint) is
    'Waits so long, or less when something else wakes the session. pg_sleep waits for a date, and so for minutes when that is set back.';

create function reconcile_internal._wake(order_id bigint, seen_us bigint, even_closed boolean) returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_wake_wrapper';

comment on function reconcile_internal._wake(bigint, bigint, boolean) is
    'Has an order''s check made due by a background worker in a transaction of its own, unless another answer came than the one that was seen; false '
    'when no worker slot is free. A worker can''t connect as a role without login before PostgreSQL 17, so it connects without one and '
    'then becomes the role that called this.';

create function reconcile_internal._wake_to_number() returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_wake_to_number_wrapper';

comment on function reconcile_internal._wake_to_number() is
    'Has events numbered by a background worker in a transaction of its own, for a reader whose own one goes on; false when no worker slot is free.';

create function reconcile_internal._commits_at_once() returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_commits_at_once_wrapper';

comment on function reconcile_internal._commits_at_once() is
    'Whether this transaction ends with the statement that is running, may write, and is READ COMMITTED. SQL can''t tell whether it is in a '
    'transaction block.';

create function reconcile_internal._history() returns text
language c stable strict parallel safe
as 'MODULE_PATHNAME', '_history_wrapper';

comment on function reconcile_internal._history() is
    'Whose history this server continues: system identifier, timeline, database; NULL on a standby. pg_control_checkpoint() says the '
    'timeline of the latest checkpoint, which is another one for some time after a promotion.';

create function reconcile_internal._system_identifier() returns bigint
language c stable strict parallel safe
as 'MODULE_PATHNAME', '_system_identifier_wrapper';

comment on function reconcile_internal._system_identifier() is
    'The cluster that this is: pg_control_system() reads a file for it each time.';

create function reconcile_internal._wake_for_test(test_id bigint, provider_id integer, order_number text, reference text) returns boolean
language c volatile strict
as 'MODULE_PATHNAME', '_wake_for_test_wrapper';

comment on function reconcile_internal._wake_for_test(bigint, integer, text, text) is
    'Puts a question of test_provider by a background worker in a transaction of its own; false when no worker slot is free.';
