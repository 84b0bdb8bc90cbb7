//! The closed list of carriers: each a way in which a role that owns a table, a hook or a lookup has code run by somebody else. Nothing
//! here is exotic; every one of them is what an application may do with what belongs to it.

use crate::{on_tables, shadows};

/// See the module. `%T` stands for each of the three tables.
pub(crate) struct Carrier {
    pub(crate) name: &'static str,
    /// As the owner, before the tables are made what they are.
    pub(crate) code: String,
    /// As the owner, for each table, before it is attached.
    pub(crate) shape: &'static str,
    /// As the owner, after everything is attached and registered, for each table.
    pub(crate) after: &'static str,
    /// As the superuser, at the same time: what an administrator does in good faith.
    pub(crate) by_dba: &'static str,
    /// Whether the payload has to have run at all for the row to say anything. What only a wrong look-up would find need not.
    pub(crate) bites: bool,
}

pub(crate) const fn carrier(name: &'static str) -> Carrier {
    Carrier {
        name,
        code: String::new(),
        shape: "",
        after: "",
        by_dba: "",
        bites: true,
    }
}

pub(crate) fn coded(name: &'static str, code: &str) -> Carrier {
    Carrier {
        code: code.to_owned(),
        ..carrier(name)
    }
}

/// A hook of this body.
fn hook(name: &'static str, body: &str) -> Carrier {
    let code = format!(
        "create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as $$ {body} $$"
    );
    coded(name, &code)
}

/// A statement that a hook tries, however it ends.
fn tried(name: &'static str, statement: &str) -> Carrier {
    hook(
        name,
        &format!(
            "begin perform carrier.probe('{name}'); begin execute $e${statement}$e$; exception when others then null; end; end"
        ),
    )
}

pub(crate) fn shaped(name: &'static str, shape: &'static str) -> Carrier {
    Carrier {
        shape,
        ..carrier(name)
    }
}

pub(crate) fn later(name: &'static str, after: &'static str) -> Carrier {
    Carrier {
        after,
        ..carrier(name)
    }
}

pub(crate) fn all() -> Vec<Carrier> {
    let mut all = on_tables::all();
    all.extend(functions());
    all.extend(sessions());
    all
}

/// Functions of the application that are called, and what may stand in their place.
fn functions() -> Vec<Carrier> {
    vec![
        hook("hook", "begin perform carrier.probe('hook'); end"),
        hook("held cursor in a hook", "begin perform carrier.hold('hook'); end"),
        coded("lookup function", "create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
            $$ begin perform carrier.probe('lookup'); return '{\"status\": \"paid\"}'; end $$"),
        coded("held cursor in a lookup", "create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
            $$ begin perform carrier.hold('lookup'); return '{\"status\": \"paid\"}'; end $$"),
        Carrier {
            // The functions once: the other two rounds find them dropped.
            after: "drop function if exists carrier.on_paid(text, jsonb); drop function if exists carrier.payment_of(text, text);
                create or replace function carrier.on_paid(anyelement, jsonb) returns void language plpgsql as $$ begin perform carrier.probe('anyelement'); end $$;
                create or replace function carrier.payment_of(anyelement, anyelement) returns jsonb language plpgsql as
                    $$ begin perform carrier.probe('anyelement'); return '{\"status\": \"paid\"}'; end $$",
            bites: false,
            ..carrier("dropped and overloaded")
        },
        Carrier { bites: false, ..coded("operators of the own schema", &shadows::in_schema("carrier")) },
        Carrier {
            by_dba: "do $$ begin execute format('alter database %I set search_path = carrier, public', current_database()); end $$",
            bites: false,
            ..coded("names in the database's search_path", &shadows::in_schema("carrier"))
        },
        Carrier { bites: false, ..coded("names in public", &shadows::in_schema("public")) },
    ]
}

/// What code leaves behind in a session that is not its own.
fn sessions() -> Vec<Carrier> {
    vec![
        tried(
            "search_path left behind",
            "select set_config('search_path', 'carrier', false)",
        ),
        tried(
            "settings left behind",
            "set work_mem = '64kB'; set row_security = off; set session_replication_role = replica",
        ),
        tried(
            "a setting of the own name left behind",
            "select set_config('carrier.token', 'mine', false)",
        ),
        tried("role left behind", "set role carrier_owner"),
        tried("role none", "reset role"),
        tried(
            "session authorization left behind",
            "set session authorization default",
        ),
        tried(
            "temporary table",
            "create temp table tracked_orders (order_id bigint) on commit preserve rows",
        ),
        tried(
            "temporary function",
            "create function pg_temp.now() returns timestamptz language sql as 'select null::timestamptz'",
        ),
        tried("LISTEN", "listen reconcile_due"),
        tried("PREPARE", "prepare mine as select 1"),
        tried("NOTIFY", "notify reconcile_due, 'mine'"),
        tried("DISCARD", "discard temp"),
        tried("advisory lock", "select pg_advisory_lock(1)"),
        tried(
            "cursor without hold",
            "declare mine cursor for select carrier.probe('cursor')",
        ),
    ]
}
