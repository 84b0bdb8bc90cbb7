-- The judge's functions, as SQL sees them. Each answers from its arguments alone; their Rust is in extension/src/judge.
-- Requires: schema.

create function reconcile.decide(
    state text,
    settled_by text,
    attempt integer,
    tries integer,
    faults integer,
    age_ms bigint,
    known_ms bigint,
    order_number text,
    outcome text,
    retry_after_ms bigint,
    schedule text,
    max_tries integer,
    deadline_ms bigint,
    not_found_grace_ms bigint,
    not_found_as text,
    gives_up_as text,
    late_success text,
    late_watch text,
    refund_watch text
)
returns table (
    to_state text,
    settled_as text,
    next_delay_ms bigint,
    reason text,
    next_attempt integer,
    next_tries integer,
    next_faults integer
)
language c immutable parallel safe rows 1
as 'MODULE_PATHNAME', 'decide_row_wrapper';

comment on function reconcile.decide(
    text, text, integer, integer, integer, bigint, bigint, text, text, bigint,
    text, integer, bigint, bigint, text, text, text, text, text
) is
    'Where an order goes by a check''s outcome, and when it is asked about again. Pure: the same inputs, which the audit '
    'keeps, give the same decision. age_ms is from the order''s creation to claimed_at, known_ms from the later of created_at and tracked_at.';

create function reconcile_internal.heed(state text, settled_by text, word text, known text, outcome text) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'heed_words_wrapper';

comment on function reconcile_internal.heed(text, text, text, text, text) is
    'Whose word holds: what becomes of an order by what its row says (tracked, a state, other, gone), what is known of that (left, heard, new, '
    'owed) and what the provider said, if it did: stays, writes, reopens, or the state that it goes to.';

create function reconcile_internal.wire_outcome(fault text, http_status integer, http_outcomes jsonb default null) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'wire_outcome_wrapper';

comment on function reconcile_internal.wire_outcome(text, integer, jsonb) is
    'The outcome that a transport fault or an HTTP status means by itself, or by the provider''s http_outcomes; NULL when the '
    'body decides.';

create function reconcile_internal.disagreement(
    outcome text,
    amount text,
    currency text,
    reference text,
    said_amount text,
    said_currency text,
    said_reference text,
    amount_unit text,
    exceptions jsonb default null,
    must_say text[] default null,
    several jsonb default null,
    adds_up boolean default null
) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'disagreement_wrapper';

comment on function reconcile_internal.disagreement(text, text, text, text, text, text, text, text, jsonb, text[], jsonb, boolean) is
    'What a final answer says that the order does not: another reference, amount or currency, or two payments; or what it must say and '
    'leaves out. several holds what paths found that found more than one value; adds_up, that amounts among them are parts of one sum. NULL when '
    'nothing disagrees.';

create function reconcile_internal.several_mean(words text[], status_map jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'several_mean_wrapper';

comment on function reconcile_internal.several_mean(text[], jsonb) is
    'What several words of one answer mean together; mismatch where one is final and another means something else, NULL where none is '
    'final and one is unknown.';

create function reconcile_internal.said_sum(amounts text[], amount_unit text, currency text, exceptions jsonb) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'said_sum_wrapper';

comment on function reconcile_internal.said_sum(text[], text, text, jsonb) is
    'Amounts of an answer added up, in major units, exact; NULL when one of them can''t be read.';

create function reconcile.schedule_error(schedule text) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'schedule_error_wrapper';

comment on function reconcile.schedule_error(text) is
    'What is wrong with a schedule such as ''60s, 30s x3, then 5m''; NULL when it will do.';

create function reconcile.schedule_delay_ms(schedule text, attempt integer, order_number text) returns bigint
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'schedule_delay_ms_wrapper';

comment on function reconcile.schedule_delay_ms(text, integer, text) is
    'Milliseconds before check number attempt (0 is the first), up to a tenth more by the order''s own jitter.';

create function reconcile_internal.backoff_ms(backoff text, tries integer, subject text) returns bigint
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'backoff_ms_wrapper';

comment on function reconcile_internal.backoff_ms(text, integer, text) is
    'Milliseconds until what has failed is tried again, up to a tenth more by its subject''s jitter: check, effect_waits, effect_fails, unapplied, '
    'probe or delivery. tries is 0 after the first failure. The pauses stand in extension/judge/src/retry.rs.';

create function reconcile_internal.granted_ms(bound text, asked_ms bigint) returns bigint
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'granted_ms_wrapper';

comment on function reconcile_internal.granted_ms(text, bigint) is
    'What others ask us to wait, up to a bound: retry_after (of an order or a delivery, a day) or rest (of a provider or an endpoint, 5 minutes).';

create function reconcile_internal.url_template_error(template text, variables jsonb default '{}') returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'url_template_error_wrapper';

comment on function reconcile_internal.url_template_error(text, jsonb) is
    'What is wrong with a URL template (RFC 6570) such as ''https://api.vendor.example/{order_number}''; NULL when it will do.';

create function reconcile_internal.request_url(template text, order_number text, reference text, variables jsonb default null) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_url_wrapper';

comment on function reconcile_internal.request_url(text, text, text, jsonb) is
    'The URL that asks about an order, its values percent-encoded; NULL when it can''t be built.';

create function reconcile_internal.request_headers(headers jsonb, order_number text, reference text, variables jsonb) returns jsonb
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_headers_wrapper';

comment on function reconcile_internal.request_headers(jsonb, text, text, jsonb) is
    'The headers that ask about an order; NULL when they can''t be built.';

create function reconcile_internal.request_body(body jsonb, order_number text, reference text, variables jsonb) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_body_wrapper';

comment on function reconcile_internal.request_body(jsonb, text, text, jsonb) is
    'The body that asks about an order, as JSON or as a form; NULL when it can''t be built.';

create function reconcile_internal.request_error(headers jsonb, body jsonb, variables jsonb) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_error_wrapper';

comment on function reconcile_internal.request_error(jsonb, jsonb, jsonb) is
    'What is wrong with the templates of headers and body, or with the constants; NULL when they will do.';

create function reconcile_internal.request_problem(
    url text, headers jsonb, body jsonb, order_number text, reference text, variables jsonb
) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_problem_of_wrapper';

comment on function reconcile_internal.request_problem(text, jsonb, jsonb, text, text, jsonb) is
    'Why the request that asks about an order can''t be built, as in ''the header X-Ref can''t be built: it needs {reference}, which '
    'the order does not have''; NULL when it can. A part that is NULL is not looked at.';

create function reconcile_internal.depends_on_order(url text, headers jsonb, body jsonb) returns boolean
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_depends_on_order_wrapper';

comment on function reconcile_internal.depends_on_order(text, jsonb, jsonb) is
    'Whether any of a request''s templates names {order_number}, {own_number} or {reference}.';

create function reconcile_internal.needs_reference(url text, headers jsonb, body jsonb) returns boolean
language c immutable parallel safe
as 'MODULE_PATHNAME', 'request_needs_reference_wrapper';

comment on function reconcile_internal.needs_reference(text, jsonb, jsonb) is
    'Whether any of a request''s templates names {reference}, which an order may lack.';

create function reconcile_internal.rules_error(rules jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'rules_error_wrapper';

comment on function reconcile_internal.rules_error(jsonb) is 'What is wrong with a list of rules; NULL when it will do.';

create function reconcile_internal.http_outcomes_error(http_outcomes jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'http_outcomes_error_wrapper';

comment on function reconcile_internal.http_outcomes_error(jsonb) is
    'What is wrong with a map of HTTP statuses to outcomes; NULL when it will do.';

create function reconcile_internal.captures_error(captures jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'captures_error_wrapper';

comment on function reconcile_internal.captures_error(jsonb) is 'What is wrong with captures; NULL when they will do.';

create function reconcile_internal.full_captures(captures jsonb) returns jsonb
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'full_captures_wrapper';

comment on function reconcile_internal.full_captures(jsonb) is
    'Captures with path and sensitive each; NULL when they are unsound.';

create function reconcile_internal.currency_exponents_error(currency_exponents jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'currency_exponents_error_wrapper';

comment on function reconcile_internal.currency_exponents_error(jsonb) is
    'What is wrong with a provider''s exceptions to ISO 4217; NULL when they will do.';

create function reconcile_internal.said_amount(said text, amount_unit text, currency text, exceptions jsonb) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'said_amount_wrapper';

comment on function reconcile_internal.said_amount(text, text, text, jsonb) is
    'An amount of an answer in major units, exact; NULL when it is not said or can''t be read.';

create function reconcile_internal.has_sane_numbers(body text) returns boolean
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'has_sane_numbers_wrapper';

comment on function reconcile_internal.has_sane_numbers(text) is
    'Whether no number of an answer would grow out of proportion when it is written out, as 1e131071 does.';

create function reconcile_internal.auth_error(auth jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'auth_error_wrapper';

comment on function reconcile_internal.auth_error(jsonb) is
    'What is wrong with a way to sign; NULL when it will do.';

create function reconcile_internal.headers_error(headers jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'headers_error_wrapper';

comment on function reconcile_internal.headers_error(jsonb) is
    'What is wrong with the headers that go with every request; NULL when they will do.';

create function reconcile_internal.status_map_error(status_map jsonb) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'status_map_error_wrapper';

comment on function reconcile_internal.status_map_error(jsonb) is
    'What is wrong with a map of the provider''s words to outcomes; NULL when it will do.';

create function reconcile_internal.currency_exponent(currency text) returns integer
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'currency_exponent_wrapper';

comment on function reconcile_internal.currency_exponent(text) is
    'Decimals of a currency by ISO 4217 (USD 2, JPY 0); NULL for an unknown code.';

create function reconcile_internal.redact(body text, also text[]) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'redact_wrapper';

comment on function reconcile_internal.redact(text, text[]) is
    'An answer with secrets and card numbers masked, and the members named in also; NULL when nothing had to be.';

create function reconcile_internal.redact_text(body text, also text[]) returns text
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'redact_text_wrapper';

comment on function reconcile_internal.redact_text(text, text[]) is
    'A text for people, such as a message that quotes a provider, with secrets and card numbers in it masked, and values of the names '
    'in also; NULL when nothing had to be.';

create function reconcile_internal.is_sensitive(name text) returns boolean
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'is_sensitive_wrapper';

comment on function reconcile_internal.is_sensitive(text) is
    'Whether members of this name are masked in every answer: by its words, voucher_pin is, pin_status is not.';
