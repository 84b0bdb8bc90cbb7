//! What runs with more rights than its caller's, and what would hear of it.

use anyhow::Result;
use reconcile_tests::cluster::Contents;

use super::found;
use crate::cluster;

/// Proves that what steps over the ledger's own rights, or runs with them for somebody else, is what is listed: a new one
/// has to be written here by somebody who has thought about it.
#[tokio::test]
async fn nobody_adds_unnoticed_what_runs_with_more_rights() -> Result<()> {
    cluster()
        .await?
        .database("definers", Contents::Extension)
        .await?;
    let touching = found(
        "definers",
        "select p.proname::text from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         join pg_language as l on l.oid = p.prolang
         where l.lanname = 'c' and p.provolatile <> 'i' order by 1",
    )
    .await?;
    assert_eq!(
        touching,
        [
            "_become_session",
            "_boot",
            "_can_be_read",
            "_commits_at_once",
            "_defer_constraints",
            "_define",
            "_give_back_settings",
            "_give_to",
            "_history",
            "_hold_function",
            "_hold_relation",
            "_hold_settings",
            "_maker_of",
            "_pause",
            "_renew_time_limit",
            "_since_boot",
            "_strange_code",
            "_system_identifier",
            "_time_is_up",
            "_try_lock_relation",
            "_wake",
            "_wake_for_test",
            "_wake_to_number",
            "confine",
        ]
    );
    let definers = found(
        "definers",
        "select p.pronamespace::regnamespace || '.' || p.proname from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         where p.prosecdef and p.pronamespace <> 'reconcile'::regnamespace and p.pronamespace <> 'public'::regnamespace order by 1",
    )
    .await?;
    assert_eq!(
        definers,
        [
            "reconcile_doors.begin_run",
            "reconcile_doors.do_declared",
            "reconcile_doors.end_run",
            "reconcile_doors.note_trouble",
            "reconcile_doors.number_events",
            "reconcile_doors.parts_of_run",
            "reconcile_doors.search_attached",
            "reconcile_doors.settle_due",
            "reconcile_internal._check_as_session",
            "reconcile_internal._date_of_steady",
            "reconcile_internal._events_after",
            "reconcile_internal._unnumbered",
            "reconcile_internal._vacuum_holders",
        ]
    );
    Ok(())
}

/// Functions that belong to everybody: what waits in them, waits for all.
const SHARED: [&str; 8] = [
    "begin_run",
    "parts_of_run",
    "end_run",
    "sidecar_start",
    "sidecar_heartbeat",
    "sidecar_claim",
    "sidecar_backlog",
    "housekeep",
];

#[tokio::test]
async fn what_belongs_to_everybody_calls_nobodys_code() -> Result<()> {
    // Proves that no code of an application can be reached from what all applications share: by the names
    // of functions that stand in the text of functions, from the shared ones on.
    cluster()
        .await?
        .database("call_graph", Contents::Extension)
        .await?;
    let found = found(
        "call_graph",
        &format!(
            "select reached from (with recursive call as (
                 select p.proname as shared, p.proname, p.prosrc from pg_proc as p
                 where p.pronamespace::regnamespace::text ~ '^reconcile' and p.proname = any ('{{{}}}')
                 union
                 select call.shared, p.proname, p.prosrc
                 from call join pg_proc as p on call.prosrc ~ ('reconcile[a-z_]*\\.' || p.proname || '\\(')
                 where p.pronamespace::regnamespace::text ~ '^reconcile'
             )
             select distinct call.shared || ' calls ' || call.proname as reached from call
             where call.prosrc ~ 'execute |reconcile_generated' and call.proname !~ '^_(make|ensure|drop_old)_?') as every order by 1",
            SHARED.join(",")
        ),
    )
    .await?;
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

/// Proves that what a function defines while it runs goes through `_define`, by which no event trigger hears of it: EXECUTE is for reading,
/// for writing rows and for calling what was made for an owner. One function defines with its caller's own rights, and says so.
#[tokio::test]
async fn nothing_is_defined_where_event_triggers_would_hear_of_it() -> Result<()> {
    cluster()
        .await?
        .database("definitions", Contents::Extension)
        .await?;
    let loud = found(
        "definitions",
        "select distinct p.oid::regprocedure::text
         from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         cross join lateral regexp_matches(p.prosrc, '\\mexecute\\s+(?!(format\\s*\\(\\s*)?''(select|insert)\\s|(function|on)\\s)|;\\s+(create|alter|drop|grant|revoke|comment)\\s', 'gi')",
    )
    .await?;
    assert_eq!(loud, ["reconcile_doors.make_triggers(regclass,integer)"]);
    Ok(())
}

/// Proves that no function passes the text of an error on but masked: what it may quote is not known where it is caught. Those that are listed
/// catch what the ledger itself says of a path that is being written, or hand it to a function that masks it.
#[tokio::test]
async fn what_an_error_says_is_masked_where_it_is_caught() -> Result<()> {
    cluster()
        .await?
        .database("masked", Contents::Extension)
        .await?;
    let unmasked = found(
        "masked",
        "select distinct p.pronamespace::regnamespace || '.' || p.proname
         from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         where regexp_replace(p.prosrc, '_problem_of\\(sqlerrm|_blame\\([^,]*, sqlstate, sqlerrm', '', 'g') ~ '\\msqlerrm\\M' order by 1",
    )
    .await?;
    assert_eq!(
        unmasked,
        [
            "reconcile.check_stale_orders",
            "reconcile_internal._make_note_function",
            "reconcile_internal._path_problem",
            "reconcile_internal._second_way_problem",
            "reconcile_internal._webhook_problem",
        ]
    );
    Ok(())
}
