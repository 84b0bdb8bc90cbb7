//! What a payload says of itself, in the server's log: a table of its own would forget what is rolled back, as a dry run and a failed
//! hook are. It says whose code it is, as whom it runs, and what it could do that its owner may not.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use reconcile_tests::cluster::Cluster;
use serde::Deserialize;

/// The function that every carrier calls, and the wrappers by which it fits where it is put. Each attempt is undone.
pub(crate) const FUNCTIONS: &str = r#"
    create function carrier.probe(p_code text, p_owner text default 'carrier_owner') returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as $$
    declare
        v_attempt text;
        v_gained text[] := '{}';
    begin
        foreach v_attempt in array array[
            'set local role postgres', 'set local session authorization postgres',
            'select pg_read_file(''PG_VERSION'')', 'create role gained', 'select count(*) from pg_authid',
            'update reconcile.tracked_orders set details = details where false', 'delete from reconcile.transitions where false',
            'alter function reconcile.housekeep() cost 99', 'create table reconcile.gained ()',
            'grant select on reconcile.tracked_orders to carrier_app'
        ] loop
            begin
                execute v_attempt;
                v_gained := v_gained || v_attempt;
                raise exception 'undone';
            exception
                when others then null;
            end;
        end loop;
        raise log 'hostile %', jsonb_build_object(
            'database', current_database(), 'code', p_code, 'owner', p_owner, 'user', current_user, 'session', session_user,
            'gained', v_gained
        );
        return true;
    end $$;
    create function carrier.fixed_probe(p_code text) returns text language plpgsql immutable as $$
        begin perform carrier.probe(p_code); return 'x'; end $$;
    create function carrier.row_probe() returns trigger language plpgsql as $$
        begin perform carrier.probe(tg_name); return coalesce(new, old); end $$;
    create function carrier.hold(p_code text) returns boolean language plpgsql as $$
        begin
            perform carrier.probe(p_code);
            begin
                execute format('declare %I cursor with hold for select carrier.probe(%L)', 'held_' || random(), p_code || ', held');
            exception
                when others then null;
            end;
            return true;
        end $$;
"#;

/// One run of a payload.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    database: String,
    /// What was placed.
    pub(crate) code: String,
    /// The role that owns the code.
    pub(crate) owner: String,
    /// The role that it ran as.
    pub(crate) user: String,
    /// The role whose session it ran in.
    pub(crate) session: String,
    /// What it could do.
    pub(crate) gained: Vec<String>,
}

impl Run {
    /// Whether it ran as its owner, or as `writer`, and gained nothing.
    pub(crate) fn is_contained(&self, writer: Option<&str>) -> bool {
        (self.user == self.owner || writer == Some(self.user.as_str())) && self.gained.is_empty()
    }

    /// For people.
    pub(crate) fn says(&self) -> String {
        let gained = match self.gained.first() {
            Some(first) => format!(
                ", and had {} rights that he has not, as in: {first}",
                self.gained.len()
            ),
            None => String::new(),
        };
        format!(
            "{} of {} ran as {} in a session of {}{gained}",
            self.code, self.owner, self.user, self.session
        )
    }
}

/// A place in the server's log, from which on runs are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

fn log_file(cluster: &Cluster) -> Result<File> {
    let path = cluster.folder().join("server.log");
    File::open(&path).with_context(|| path.display().to_string())
}

/// The end of the log as it is now.
pub(crate) fn mark(cluster: &Cluster) -> Result<Mark> {
    Ok(Mark(log_file(cluster)?.metadata()?.len()))
}

/// The runs in a database since a mark.
pub(crate) fn runs_since(cluster: &Cluster, mark: Mark, database: &str) -> Result<Vec<Run>> {
    let (mut file, mut bytes) = (log_file(cluster)?, Vec::new());
    file.seek(SeekFrom::Start(mark.0))?;
    file.read_to_end(&mut bytes)?;
    let mut runs = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Some((_, said)) = line.split_once("LOG:  hostile ") else {
            continue;
        };
        let run: Run = serde_json::from_str(said).with_context(|| line.to_owned())?;
        if run.database == database {
            runs.push(run);
        }
    }
    Ok(runs)
}
