//! How the ledger's own functions, triggers and partitions are made, altered and dropped without anybody hearing of it.
//!
//! PostgreSQL runs event triggers with the rights of whoever runs a statement, in whoever's session it is. A log of DDL that
//! names its table without a schema is harmless until a statement runs with more rights than its session's: then whoever put
//! a table of that name into his own temporary schema has code of his run with them. So what runs as the ledger's role, or
//! for one statement as a superuser, is run as PostgreSQL runs the parts of a statement of its own, for which it calls no
//! event trigger. What is done with the caller's own rights, such as making the triggers of his table, is not run by this.

use std::ffi::{CStr, CString};
use std::ptr;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// What may be run like that: no statement that reads or writes rows, and none that runs code.
const DEFINITIONS: [pg_sys::NodeTag; 8] = [
    pg_sys::NodeTag::T_AlterOwnerStmt,
    pg_sys::NodeTag::T_AlterTableStmt,
    pg_sys::NodeTag::T_CommentStmt,
    pg_sys::NodeTag::T_CreateFunctionStmt,
    pg_sys::NodeTag::T_CreateStmt,
    pg_sys::NodeTag::T_CreateTrigStmt,
    pg_sys::NodeTag::T_DropStmt,
    pg_sys::NodeTag::T_GrantStmt,
];

/// Runs statements that define something, with the rights of the caller, and has no event trigger hear of them.
///
/// Fails with 0A000 when one of them is of another kind.
#[pg_extern]
fn _define(statements: &str) {
    define(statements);
}

/// The same, for other modules.
pub(crate) fn define(statements: &str) {
    let Ok(source) = CString::new(statements) else {
        error!("a NUL is in what is to be defined");
    };
    // SAFETY: parses a text that ends with a NUL; what it answers lives in the memory of the call.
    let parsed =
        unsafe { pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT) };
    // SAFETY: a parser answers a list of RawStmt, or NULL when there is nothing in the text.
    let parsed = unsafe { pgrx::PgList::<pg_sys::RawStmt>::from_pg(parsed) };
    for raw in parsed.iter_ptr() {
        // SAFETY: as above; a statement is a node, which begins with its tag.
        let (statement, tag) = unsafe { ((*raw).stmt, (*(*raw).stmt).type_) };
        if !DEFINITIONS.contains(&tag) {
            ereport!(
                ERROR,
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("{tag:?} defines nothing of the ledger's")
            );
        }
        // SAFETY: the statement is one of those that have no plan but themselves, was parsed from this text, and is run once.
        unsafe { run(statement, raw, &source) };
    }
}

/// As SPI runs a utility statement, but as a part of another one.
///
/// # Safety
///
/// The statement is a utility statement, `raw` holds it, and both were parsed from `source`.
unsafe fn run(statement: *mut pg_sys::Node, raw: *mut pg_sys::RawStmt, source: &CStr) {
    // SAFETY: a node of zeros with its tag is what PostgreSQL itself begins with; the fields that count are set below. The snapshot
    // that is pushed is popped again, by the end of the transaction or subtransaction after an error.
    unsafe {
        let planned =
            pg_sys::palloc0(size_of::<pg_sys::PlannedStmt>()).cast::<pg_sys::PlannedStmt>();
        (*planned).type_ = pg_sys::NodeTag::T_PlannedStmt;
        (*planned).commandType = pg_sys::CmdType::CMD_UTILITY;
        (*planned).canSetTag = false;
        (*planned).utilityStmt = statement;
        (*planned).stmt_location = (*raw).stmt_location;
        (*planned).stmt_len = (*raw).stmt_len;
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::ProcessUtility(
            planned,
            source.as_ptr(),
            false,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_SUBCOMMAND,
            ptr::null_mut(),
            ptr::null_mut(),
            pg_sys::None_Receiver,
            ptr::null_mut(),
        );
        pg_sys::PopActiveSnapshot();
        pg_sys::CommandCounterIncrement();
    }
}
