//! The order in which the ledger's SQL is installed. Each file says in its head what it owns.
//!
//! Nothing is generated: the files are taken as they are, and what they need is named here.

use pgrx::prelude::*;

extension_sql_file!("../../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../../sql/judge.sql", name = "judge", requires = ["schema"]);
extension_sql_file!(
    "../../sql/server.sql",
    name = "server",
    requires = ["judge"]
);
extension_sql_file!("../../sql/clock.sql", name = "clock", requires = ["server"]);
extension_sql_file!(
    "../../sql/tables.sql",
    name = "tables",
    requires = ["clock"]
);
extension_sql_file!("../../sql/audit.sql", name = "audit", requires = ["tables"]);
extension_sql_file!(
    "../../sql/masking.sql",
    name = "masking",
    requires = ["audit"]
);
extension_sql_file!(
    "../../sql/declarations.sql",
    name = "declarations",
    requires = ["masking"]
);
extension_sql_file!(
    "../../sql/paths.sql",
    name = "paths",
    requires = ["declarations"]
);
extension_sql_file!(
    "../../sql/provider_times.sql",
    name = "provider_times",
    requires = ["paths"]
);
extension_sql_file!(
    "../../sql/without_reference.sql",
    name = "without_reference",
    requires = ["provider_times"]
);
extension_sql_file!(
    "../../sql/provider_checks.sql",
    name = "provider_checks",
    requires = ["without_reference"]
);
extension_sql_file!(
    "../../sql/providers.sql",
    name = "providers",
    requires = ["provider_checks"]
);
extension_sql_file!(
    "../../sql/traffic.sql",
    name = "traffic",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/tracking.sql",
    name = "tracking",
    requires = ["traffic"]
);
extension_sql_file!(
    "../../sql/attachments.sql",
    name = "attachments",
    requires = ["tracking"]
);
extension_sql_file!(
    "../../sql/holding.sql",
    name = "holding",
    requires = ["attachments"]
);
extension_sql_file!(
    "../../sql/heeding.sql",
    name = "heeding",
    requires = ["holding"]
);
extension_sql_file!(
    "../../sql/following.sql",
    name = "following",
    requires = ["heeding"]
);
extension_sql_file!(
    "../../sql/numbers.sql",
    name = "numbers",
    requires = ["following"]
);
extension_sql_file!(
    "../../sql/telling.sql",
    name = "telling",
    requires = ["numbers"]
);
extension_sql_file!(
    "../../sql/paging.sql",
    name = "paging",
    requires = ["telling"]
);
extension_sql_file!(
    "../../sql/searching.sql",
    name = "searching",
    requires = ["paging"]
);
extension_sql_file!(
    "../../sql/hooks.sql",
    name = "hooks",
    requires = ["searching"]
);
extension_sql_file!(
    "../../sql/effects.sql",
    name = "effects",
    requires = ["hooks"]
);
extension_sql_file!(
    "../../sql/calling_again.sql",
    name = "calling_again",
    requires = ["effects"]
);
extension_sql_file!(
    "../../sql/generating.sql",
    name = "generating",
    requires = ["calling_again"]
);
extension_sql_file!(
    "../../sql/zones.sql",
    name = "zones",
    requires = ["generating"]
);
extension_sql_file!(
    "../../sql/dry_runs.sql",
    name = "dry_runs",
    requires = ["zones"]
);
extension_sql_file!(
    "../../sql/attaching.sql",
    name = "attaching",
    requires = ["dry_runs"]
);
extension_sql_file!(
    "../../sql/claim.sql",
    name = "claim",
    requires = ["attaching"]
);
extension_sql_file!(
    "../../sql/numbering.sql",
    name = "numbering",
    requires = ["claim"]
);
extension_sql_file!(
    "../../sql/events.sql",
    name = "events",
    requires = ["numbering"]
);
extension_sql_file!(
    "../../sql/endpoints.sql",
    name = "endpoints",
    requires = ["events"]
);
extension_sql_file!(
    "../../sql/messages.sql",
    name = "messages",
    requires = ["endpoints"]
);
extension_sql_file!(
    "../../sql/outcomes.sql",
    name = "outcomes",
    requires = ["messages"]
);
extension_sql_file!(
    "../../sql/deliveries.sql",
    name = "deliveries",
    requires = ["outcomes"]
);
extension_sql_file!(
    "../../sql/endpoint_views.sql",
    name = "endpoint_views",
    requires = ["deliveries"]
);
extension_sql_file!(
    "../../sql/reading.sql",
    name = "reading",
    requires = ["claim"]
);
extension_sql_file!(
    "../../sql/answers.sql",
    name = "answers",
    requires = ["reading"]
);
extension_sql_file!(
    "../../sql/judging.sql",
    name = "judging",
    requires = ["answers"]
);
extension_sql_file!(
    "../../sql/settling.sql",
    name = "settling",
    requires = ["judging"]
);
extension_sql_file!(
    "../../sql/second_payments.sql",
    name = "second_payments",
    requires = ["settling"]
);
extension_sql_file!(
    "../../sql/report.sql",
    name = "report",
    requires = ["second_payments"]
);
extension_sql_file!(
    "../../sql/lookups.sql",
    name = "lookups",
    requires = ["report"]
);
extension_sql_file!(
    "../../sql/webhooks.sql",
    name = "webhooks",
    requires = ["lookups"]
);
extension_sql_file!(
    "../../sql/matching.sql",
    name = "matching",
    requires = ["webhooks"]
);
extension_sql_file!(
    "../../sql/recording.sql",
    name = "recording",
    requires = ["matching"]
);
extension_sql_file!(
    "../../sql/removing.sql",
    name = "removing",
    requires = ["recording", "endpoints"]
);
extension_sql_file!(
    "../../sql/sidecars.sql",
    name = "sidecars",
    requires = ["removing"]
);
extension_sql_file!(
    "../../sql/overlong.sql",
    name = "overlong",
    requires = ["sidecars"]
);
extension_sql_file!(
    "../../sql/violations.sql",
    name = "violations",
    requires = ["overlong"]
);
extension_sql_file!(
    "../../sql/housekeeping.sql",
    name = "housekeeping",
    requires = ["violations"]
);
extension_sql_file!(
    "../../sql/scheduled.sql",
    name = "scheduled",
    requires = ["housekeeping"]
);
extension_sql_file!(
    "../../sql/waiting.sql",
    name = "waiting",
    requires = ["scheduled"]
);
extension_sql_file!(
    "../../sql/testing.sql",
    name = "testing",
    requires = ["waiting"]
);
extension_sql_file!(
    "../../sql/views.sql",
    name = "views",
    requires = ["testing", "endpoint_views"]
);
extension_sql_file!(
    "../../sql/application_views.sql",
    name = "application_views",
    requires = ["views"]
);
extension_sql_file!(
    "../../sql/alerts.sql",
    name = "alerts",
    requires = ["application_views"]
);
extension_sql_file!(
    "../../sql/explain.sql",
    name = "explain",
    requires = ["alerts"]
);

// The presets: one provider, one file, one function. None needs another.
extension_sql_file!(
    "../../sql/providers/flutterwave_v3.sql",
    name = "preset_flutterwave_v3",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/midtrans_transactions.sql",
    name = "preset_midtrans_transactions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/mollie_payments.sql",
    name = "preset_mollie_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/paypal_orders.sql",
    name = "preset_paypal_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/paystack_transactions.sql",
    name = "preset_paystack_transactions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/paytm_orders.sql",
    name = "preset_paytm_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/phonepe_v1.sql",
    name = "preset_phonepe_v1",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/phonepe_v2.sql",
    name = "preset_phonepe_v2",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/razorpay_orders.sql",
    name = "preset_razorpay_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/razorpay_payments.sql",
    name = "preset_razorpay_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/square_payments.sql",
    name = "preset_square_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/stripe_checkout_sessions.sql",
    name = "preset_stripe_checkout_sessions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/stripe_payment_intents.sql",
    name = "preset_stripe_payment_intents",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/vendor.sql",
    name = "preset_vendor",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/providers/xendit_invoices.sql",
    name = "preset_xendit_invoices",
    requires = ["providers"]
);

extension_sql_file!(
    "../../sql/rights.sql",
    name = "rights",
    requires = ["explain"],
    finalize
);
