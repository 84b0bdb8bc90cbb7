//! Operators and functions with the names that everybody uses, of argument types that the catalog's own do not have: such a one is found
//! before a conversion is thought of, wherever its schema is in the search_path, and where an argument is of another type than its author
//! believed. Owns their generation.

/// Which operators, and what they give.
const OPERATORS: &str = "('=', 'boolean'), ('<>', 'boolean'), ('<', 'boolean'), ('>', 'boolean'), ('<=', 'boolean'), ('>=', 'boolean'),
    ('~', 'boolean'), ('!~', 'boolean'), ('?', 'boolean'), ('*', 'interval'), ('+', 'timestamptz'), ('-', 'timestamptz'), ('/', 'numeric'),
    ('||', 'text'), ('->', 'jsonb'), ('->>', 'text'), ('#>>', 'text'), ('&', 'bigint'), ('<<', 'bigint')";

/// Between which types.
const TYPES: &str = "text, name, integer, bigint, smallint, numeric, float8, interval, timestamptz, oid, regclass, regrole, boolean, jsonb, \"char\", text[]";

/// Functions, by what they are called with, and what they give.
const FUNCTIONS: &str = "
    ('format(text, text)', 'text'), ('format(text, text, text)', 'text'), ('format(text, text, text, text)', 'text'),
    ('format(text, name)', 'text'), ('format(text, regclass)', 'text'), ('format(text, variadic text[])', 'text'),
    ('now()', 'timestamptz'), ('clock_timestamp()', 'timestamptz'), ('to_jsonb(text)', 'jsonb'), ('to_jsonb(text[])', 'jsonb'),
    ('nextval(text)', 'bigint'), ('setval(text, bigint)', 'bigint'), ('currval(text)', 'bigint'), ('upper(name)', 'text'), ('lower(name)', 'text'), ('length(name)', 'integer'),
    ('left(text, bigint)', 'text'), ('substr(text, bigint)', 'text'), ('strpos(text, name)', 'integer'), ('quote_ident(name)', 'text'),
    ('quote_literal(name)', 'text'), ('replace(text, text, name)', 'text'), ('coalesced(text)', 'text'), ('to_regclass(name)', 'regclass'),
    ('has_schema_privilege(name, text)', 'boolean'), ('pg_notify(text, name)', 'void'), ('set_config(text, name, boolean)', 'text'), ('current_setting(name)', 'text'),
    ('greatest_of(bigint)', 'bigint'), ('make_interval(double precision)', 'interval'), ('date_trunc(text, date)', 'timestamptz'), ('to_date(name, text)', 'date'),
    ('jsonb_build_object(text, text)', 'jsonb'), ('jsonb_populate_record(text, jsonb)', 'text'), ('array_position(text[], name)', 'integer'),
    ('array_length(text[], bigint)', 'integer'), ('cardinality(text[])', 'integer'), ('pg_has_role(name, name, name)', 'boolean'),
    ('abs(interval)', 'interval'), ('round(float4)', 'numeric'), ('count(text)', 'bigint'), ('max(boolean)', 'boolean'), ('min(boolean)', 'boolean'), ('schedule(text, text, text)', 'bigint'),
    ('schedule_in_database(text, text, text, name)', 'bigint'), ('schedule_in_database(text, text, text, name, text)', 'bigint'),
    ('reconcile_stale_orders(integer)', 'void'), ('reconcile_stale_orders()', 'void'), ('reconcile_order(varchar)', 'text'), ('order_details(varchar)', 'jsonb')";

/// SQL that makes them all in a schema; each runs the probe, which says that it was found.
pub(crate) fn in_schema(schema: &str) -> String {
    format!(
        r#"
        do $do$
        declare
            v record;
        begin
            for v in
                select operator.name, operator.gives, l.type as l, r.type as r, row_number() over () as nr
                from (values {OPERATORS}) as operator (name, gives)
                cross join unnest('{{{TYPES}}}'::text[]) as l (type) cross join unnest('{{{TYPES}}}'::text[]) as r (type)
                where not exists (
                    select from pg_operator as o where o.oprname = operator.name and o.oprleft = l.type::regtype and o.oprright = r.type::regtype
                )
            loop
                execute format(
                    'create function {schema}.shadow_%s(%s, %s) returns %s language plpgsql as $f$ begin perform carrier.probe(%L); return null; end $f$',
                    v.nr, v.l, v.r, v.gives, format('operator %s %s %s', v.l, v.name, v.r));
                execute format('create operator {schema}.%s (leftarg = %s, rightarg = %s, function = {schema}.shadow_%s)', v.name, v.l, v.r, v.nr);
            end loop;
            for v in select f.* from (values {FUNCTIONS}) as f (call, gives) loop
                execute format('create function {schema}.%s returns %s language plpgsql as $f$ begin perform carrier.probe(%L); %s; end $f$',
                    v.call, v.gives, 'function ' || v.call, case v.gives when 'void' then 'return' else 'return null' end);
            end loop;
        end $do$"#
    )
}
