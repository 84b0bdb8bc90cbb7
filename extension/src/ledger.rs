//! The order in which the ledger's SQL is installed. Each file says in its head what it owns.
//!
//! Nothing is generated: the files are taken as they are, and what they need is named here.

use pgrx::prelude::*;

extension_sql_file!("../../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../../sql/judge.sql", name = "judge", requires = ["schema"]);
extension_sql_file!(
    "../../sql/tables.sql",
    name = "tables",
    requires = ["judge"]
);
extension_sql_file!("../../sql/audit.sql", name = "audit", requires = ["tables"]);
extension_sql_file!(
    "../../sql/providers.sql",
    name = "providers",
    requires = ["audit"]
);
extension_sql_file!(
    "../../sql/tracking.sql",
    name = "tracking",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/claim.sql",
    name = "claim",
    requires = ["tracking"]
);
extension_sql_file!(
    "../../sql/report.sql",
    name = "report",
    requires = ["claim"]
);
extension_sql_file!(
    "../../sql/sidecars.sql",
    name = "sidecars",
    requires = ["report"]
);
extension_sql_file!(
    "../../sql/housekeeping.sql",
    name = "housekeeping",
    requires = ["sidecars"]
);
extension_sql_file!(
    "../../sql/waiting.sql",
    name = "waiting",
    requires = ["housekeeping"]
);
extension_sql_file!(
    "../../sql/views.sql",
    name = "views",
    requires = ["waiting"]
);
extension_sql_file!(
    "../../sql/explain.sql",
    name = "explain",
    requires = ["views"]
);
extension_sql_file!(
    "../../sql/rights.sql",
    name = "rights",
    requires = ["explain"],
    finalize
);
