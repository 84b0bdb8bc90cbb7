//! The closed list of moments: each a call that somebody makes who does not own the code that may run with it, in a session of his own.

/// Who makes a call, and what he says. `%N` is a number that no other moment of the database has.
pub(crate) struct Moment {
    pub(crate) name: &'static str,
    pub(crate) by: &'static str,
    pub(crate) calls: &'static [&'static str],
}

const fn moment(name: &'static str, by: &'static str, calls: &'static [&'static str]) -> Moment {
    Moment { name, by, calls }
}

/// What there is to do before each of them, as the owner: rows to be found, and payments for them.
pub(crate) const ROWS: &str = "
    insert into carrier.payments (number, status) values ('L-%N', 'paid'), ('S-%N', 'paid'), ('X-%N', 'paid');
    insert into carrier.orders (number, status) values ('W-%N', 'processing'), ('V-%N', 'processing');
    insert into carrier.sales (number, status) values ('S-%N', 'processing'), ('X-%N', 'processing')";

/// And as the application: orders that are handed over, and due.
pub(crate) const ORDERS: [(&str, &str); 4] = [
    ("L-%N", "by_table"),
    ("F-%N", "by_function"),
    ("G-%N", "by_function"),
    ("H-%N", "vendor"),
];

const RUN: &[&str] = &["select * from public.reconcile_stale_orders(1000)"];

const ASK: &[&str] = &[
    "select * from public.reconcile_order('L-%N', '0')",
    "select * from public.reconcile_order('F-%N', '0')",
    "select * from public.reconcile_order('S-%N', '0')",
    "select * from public.reconcile_order('W-%N', '0')",
    "select public.order_details('G-%N', '0')",
];

const DECIDE: &[&str] = &[
    "select reconcile.resolve_order('W-%N', 'succeeded', 'seen')",
    "select reconcile.resolve_order('S-%N', 'succeeded', 'seen')",
    "select reconcile.resolve_order('F-%N', 'succeeded', 'seen')",
];

const VIEWS: &[&str] = &[
    "table reconcile.alerts",
    "table reconcile.orders",
    "table reconcile.stale_orders",
    "table reconcile.stuck_orders",
    "table reconcile.order_history",
    "table reconcile.checks",
    "table reconcile.provider_health",
    "table reconcile.attached_tables",
    "table reconcile.unwatched_rows",
    "table reconcile.hooks",
    "table reconcile.lookups",
    "table reconcile.failed_effects",
    "table reconcile.webhooks",
    "table reconcile.endpoints",
];

/// A statement that may not run with the rights of the session that its rows are in.
pub(crate) const WRITER: &str = "carrier_app";

/// In this order, after the tables are attached. A report is made by hand: see the matrix.
pub(crate) const ALL: [Moment; 19] = [
    moment(
        "note",
        WRITER,
        &[
            "insert into carrier.orders (number, status) values ('N-%N', 'processing'), ('M-%N', 'processing')",
            "update carrier.orders set status = 'moved' where number = 'N-%N'",
            "delete from carrier.orders where number = 'N-%N'",
            "insert into carrier.orders (number, status) select 'B-%N-' || n, 'processing' from generate_series(1, 120) as n",
        ],
    ),
    moment(
        "heartbeat",
        "shop_sidecar",
        &["select reconcile.sidecar_heartbeat(reconcile.sidecar_start('by hand', '1', 1), 0)"],
    ),
    moment(
        "follow",
        "postgres",
        &[
            "select * from reconcile.take_in('carrier.orders')",
            "select * from reconcile.take_in('carrier.sales')",
        ],
    ),
    moment("report", "shop_sidecar", &[]),
    moment("run", "postgres", RUN),
    moment("run by the schedule", "reconcile_cron", RUN),
    moment("run by an operator", "shop_operator", RUN),
    moment("reconcile_order by a superuser", "postgres", ASK),
    moment("reconcile_order by an application", "shop_app", ASK),
    moment("resolve by a superuser", "postgres", DECIDE),
    moment("resolve by an operator", "shop_operator", DECIDE),
    moment(
        "webhook",
        "shop_app",
        &[
            "select reconcile.record_webhook('by_table', 'evt-%N', '{}', 'L-%N')",
            "select reconcile.record_webhook('by_function', 'evt-%N', '{}', 'F-%N')",
        ],
    ),
    moment(
        "in a transaction of a superuser",
        "postgres",
        &[
            "begin",
            "select reconcile.resolve_order('W-%N', 'succeeded', 'seen')",
            "select * from public.reconcile_order('S-%N', '0')",
            "select * from public.reconcile_order('F-%N', '0')",
            "commit",
        ],
    ),
    moment(
        "test_provider",
        "postgres",
        &[
            "select * from reconcile.test_provider('by_table', 'L-%N')",
            "select * from reconcile.test_provider('by_function', 'F-%N')",
        ],
    ),
    moment(
        "explain",
        "postgres",
        &[
            "select reconcile.explain_order('W-%N')",
            "select reconcile.explain_order('L-%N')",
        ],
    ),
    moment("views", "postgres", VIEWS),
    moment(
        "housekeep",
        "postgres",
        &["select * from reconcile.housekeep()"],
    ),
    moment(
        "events",
        "postgres",
        &["select * from reconcile.read_events(0, 1000)"],
    ),
    moment(
        "detach",
        "postgres",
        &[
            "select reconcile.detach_table('carrier.orders')",
            "select reconcile.detach_table('carrier.sales')",
        ],
    ),
];
