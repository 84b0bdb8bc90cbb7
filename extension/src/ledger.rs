//! The order in which the ledger's SQL is installed. Each file says in its head what it owns.
//!
//! Nothing is generated: the files are taken as they are, and what they need is named here.

use pgrx::prelude::*;

extension_sql_file!("../../sql/core/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../../sql/judge.sql", name = "judge", requires = ["schema"]);
extension_sql_file!(
    "../../sql/core/server.sql",
    name = "server",
    requires = ["judge"]
);
extension_sql_file!(
    "../../sql/core/clock.sql",
    name = "clock",
    requires = ["server"]
);
extension_sql_file!(
    "../../sql/core/tables.sql",
    name = "tables",
    requires = ["clock"]
);
extension_sql_file!(
    "../../sql/core/audit.sql",
    name = "audit",
    requires = ["tables"]
);
extension_sql_file!(
    "../../sql/core/queue.sql",
    name = "queue",
    requires = ["audit"]
);
extension_sql_file!(
    "../../sql/core/leases.sql",
    name = "leases",
    requires = ["queue"]
);
extension_sql_file!(
    "../../sql/core/moves.sql",
    name = "moves",
    requires = ["leases"]
);
extension_sql_file!(
    "../../sql/core/orders.sql",
    name = "orders",
    requires = ["moves"]
);
extension_sql_file!(
    "../../sql/core/masking.sql",
    name = "masking",
    requires = ["orders"]
);
extension_sql_file!(
    "../../sql/core/declarations.sql",
    name = "declarations",
    requires = ["masking"]
);
extension_sql_file!(
    "../../sql/providers/paths.sql",
    name = "paths",
    requires = ["declarations"]
);
extension_sql_file!(
    "../../sql/providers/provider_times.sql",
    name = "provider_times",
    requires = ["paths"]
);
extension_sql_file!(
    "../../sql/providers/without_reference.sql",
    name = "without_reference",
    requires = ["provider_times"]
);
extension_sql_file!(
    "../../sql/providers/provider_checks.sql",
    name = "provider_checks",
    requires = ["without_reference"]
);
extension_sql_file!(
    "../../sql/providers/providers.sql",
    name = "providers",
    requires = ["provider_checks"]
);
extension_sql_file!(
    "../../sql/providers/traffic.sql",
    name = "traffic",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/people/tracking.sql",
    name = "tracking",
    requires = ["traffic"]
);
extension_sql_file!(
    "../../sql/application/attachments.sql",
    name = "attachments",
    requires = ["tracking"]
);
extension_sql_file!(
    "../../sql/application/holding.sql",
    name = "holding",
    requires = ["attachments"]
);
extension_sql_file!(
    "../../sql/application/heeding.sql",
    name = "heeding",
    requires = ["holding"]
);
extension_sql_file!(
    "../../sql/application/following.sql",
    name = "following",
    requires = ["heeding"]
);
extension_sql_file!(
    "../../sql/application/numbers.sql",
    name = "numbers",
    requires = ["following"]
);
extension_sql_file!(
    "../../sql/application/telling.sql",
    name = "telling",
    requires = ["numbers"]
);
extension_sql_file!(
    "../../sql/application/paging.sql",
    name = "paging",
    requires = ["telling"]
);
extension_sql_file!(
    "../../sql/application/searching.sql",
    name = "searching",
    requires = ["paging"]
);
extension_sql_file!(
    "../../sql/application/hooks.sql",
    name = "hooks",
    requires = ["searching"]
);
extension_sql_file!(
    "../../sql/application/effects.sql",
    name = "effects",
    requires = ["hooks"]
);
extension_sql_file!(
    "../../sql/application/calling_again.sql",
    name = "calling_again",
    requires = ["effects"]
);
extension_sql_file!(
    "../../sql/application/generating.sql",
    name = "generating",
    requires = ["calling_again"]
);
extension_sql_file!(
    "../../sql/application/zones.sql",
    name = "zones",
    requires = ["generating"]
);
extension_sql_file!(
    "../../sql/application/dry_runs.sql",
    name = "dry_runs",
    requires = ["zones"]
);
extension_sql_file!(
    "../../sql/application/attaching.sql",
    name = "attaching",
    requires = ["dry_runs"]
);
extension_sql_file!(
    "../../sql/checks/requests.sql",
    name = "requests",
    requires = ["attaching"]
);
extension_sql_file!(
    "../../sql/checks/test_calls.sql",
    name = "test_calls",
    requires = ["requests"]
);
extension_sql_file!(
    "../../sql/checks/claim.sql",
    name = "claim",
    requires = ["test_calls"]
);
extension_sql_file!(
    "../../sql/events/numbering.sql",
    name = "numbering",
    requires = ["claim"]
);
extension_sql_file!(
    "../../sql/events/events.sql",
    name = "events",
    requires = ["numbering"]
);
extension_sql_file!(
    "../../sql/events/endpoints.sql",
    name = "endpoints",
    requires = ["events"]
);
extension_sql_file!(
    "../../sql/events/messages.sql",
    name = "messages",
    requires = ["endpoints"]
);
extension_sql_file!(
    "../../sql/events/outcomes.sql",
    name = "outcomes",
    requires = ["messages"]
);
extension_sql_file!(
    "../../sql/events/deliveries.sql",
    name = "deliveries",
    requires = ["outcomes"]
);
extension_sql_file!(
    "../../sql/events/endpoint_views.sql",
    name = "endpoint_views",
    requires = ["deliveries"]
);
extension_sql_file!(
    "../../sql/checks/reading.sql",
    name = "reading",
    requires = ["claim"]
);
extension_sql_file!(
    "../../sql/checks/answers.sql",
    name = "answers",
    requires = ["reading"]
);
extension_sql_file!(
    "../../sql/checks/judging.sql",
    name = "judging",
    requires = ["answers"]
);
extension_sql_file!(
    "../../sql/checks/settling.sql",
    name = "settling",
    requires = ["judging"]
);
extension_sql_file!(
    "../../sql/checks/unsettled.sql",
    name = "unsettled",
    requires = ["settling"]
);
extension_sql_file!(
    "../../sql/checks/second_payments.sql",
    name = "second_payments",
    requires = ["unsettled"]
);
extension_sql_file!(
    "../../sql/checks/report.sql",
    name = "report",
    requires = ["second_payments"]
);
extension_sql_file!(
    "../../sql/checks/lookups.sql",
    name = "lookups",
    requires = ["report"]
);
extension_sql_file!(
    "../../sql/checks/webhooks.sql",
    name = "webhooks",
    requires = ["lookups"]
);
extension_sql_file!(
    "../../sql/checks/matching.sql",
    name = "matching",
    requires = ["webhooks"]
);
extension_sql_file!(
    "../../sql/checks/recording.sql",
    name = "recording",
    requires = ["matching"]
);
extension_sql_file!(
    "../../sql/providers/removing.sql",
    name = "removing",
    requires = ["recording", "endpoints"]
);
extension_sql_file!(
    "../../sql/people/sidecars.sql",
    name = "sidecars",
    requires = ["removing"]
);
extension_sql_file!(
    "../../sql/people/overlong.sql",
    name = "overlong",
    requires = ["sidecars"]
);
extension_sql_file!(
    "../../sql/people/violations.sql",
    name = "violations",
    requires = ["overlong"]
);
extension_sql_file!(
    "../../sql/people/housekeeping.sql",
    name = "housekeeping",
    requires = ["violations"]
);
extension_sql_file!(
    "../../sql/people/scheduled.sql",
    name = "scheduled",
    requires = ["housekeeping"]
);
extension_sql_file!(
    "../../sql/checks/waiting.sql",
    name = "waiting",
    requires = ["scheduled"]
);
extension_sql_file!(
    "../../sql/checks/testing.sql",
    name = "testing",
    requires = ["waiting"]
);
extension_sql_file!(
    "../../sql/people/views.sql",
    name = "views",
    requires = ["testing", "endpoint_views"]
);
extension_sql_file!(
    "../../sql/application/application_views.sql",
    name = "application_views",
    requires = ["views"]
);
extension_sql_file!(
    "../../sql/people/alerts.sql",
    name = "alerts",
    requires = ["application_views"]
);
extension_sql_file!(
    "../../sql/people/explain.sql",
    name = "explain",
    requires = ["alerts"]
);

// The presets: one provider, one file, one function. None needs another.
extension_sql_file!(
    "../../sql/presets/flutterwave_v3.sql",
    name = "preset_flutterwave_v3",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/midtrans_transactions.sql",
    name = "preset_midtrans_transactions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/mollie_payments.sql",
    name = "preset_mollie_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/paypal_orders.sql",
    name = "preset_paypal_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/paystack_transactions.sql",
    name = "preset_paystack_transactions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/paytm_orders.sql",
    name = "preset_paytm_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/phonepe_v1.sql",
    name = "preset_phonepe_v1",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/phonepe_v2.sql",
    name = "preset_phonepe_v2",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/razorpay_orders.sql",
    name = "preset_razorpay_orders",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/razorpay_payments.sql",
    name = "preset_razorpay_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/square_payments.sql",
    name = "preset_square_payments",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/stripe_checkout_sessions.sql",
    name = "preset_stripe_checkout_sessions",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/stripe_payment_intents.sql",
    name = "preset_stripe_payment_intents",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/vendor.sql",
    name = "preset_vendor",
    requires = ["providers"]
);
extension_sql_file!(
    "../../sql/presets/xendit_invoices.sql",
    name = "preset_xendit_invoices",
    requires = ["providers"]
);

extension_sql_file!(
    "../../sql/core/rights.sql",
    name = "rights",
    requires = ["explain"],
    finalize
);
