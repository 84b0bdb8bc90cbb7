//! Three hundred orders and what the vendor will say about each: the plan that the summary is held
//! against. Owns where each fate has to lead, and never looks at the database.

use std::iter::repeat_n;

use reconcile_tests::simulator::{Fate, Reply, Step};

/// What the vendor does, about how many orders, and where that has to lead.
pub(crate) struct Kind {
    /// For people.
    pub(crate) name: &'static str,
    /// How many orders have it.
    pub(crate) orders: usize,
    /// The state that they have to reach, or to stay in.
    pub(crate) state: &'static str,
    /// What their latest check has to mean.
    pub(crate) outcome: &'static str,
    /// Who is asked.
    pub(crate) provider: &'static str,
    /// What is said about the n-th of them.
    says: fn(usize) -> Vec<Step>,
}

/// An order, as the application knows it.
pub(crate) struct Order {
    /// Its number.
    pub(crate) number: String,
    /// The vendor's invoice.
    pub(crate) reference: String,
    /// What it costs, in USD.
    pub(crate) amount: String,
    /// What will become of it.
    pub(crate) kind: &'static Kind,
    /// What the vendor will say.
    pub(crate) fate: Fate,
}

/// The vendor, asked every other second.
const VENDOR: &str = "vendor";
/// The same vendor on a real schedule: asked after minutes.
const PATIENT: &str = "patient_vendor";

/// In the order of the summary.
pub(crate) static KINDS: [Kind; 14] = [
    kind("succeeded", 90, "succeeded", "succeeded", |_| {
        say("succeeded")
    }),
    kind("third call succeeded", 40, "succeeded", "succeeded", |_| {
        vec![
            Step::status("processing"),
            Step::status("pending"),
            Step::status("succeeded"),
        ]
    }),
    kind("slow, then succeeded", 10, "succeeded", "succeeded", |_| {
        vec![Step::status("succeeded").after_ms(1_500)]
    }),
    kind("500, then succeeded", 20, "succeeded", "succeeded", |_| {
        vec![Step::http(500, "{}"), Step::status("succeeded")]
    }),
    Kind {
        provider: PATIENT,
        ..kind("succeeded, by hand", 1, "succeeded", "succeeded", |_| {
            say("succeeded")
        })
    },
    kind("failed", 40, "failed", "failed", |_| say("failed")),
    kind("cancelled", 20, "failed", "failed", |_| say("cancelled")),
    kind("still processing", 30, "pending", "pending", |_| {
        say("processing")
    }),
    kind(
        "a word nobody knows",
        10,
        "pending",
        "unknown_status",
        |_| say("settling"),
    ),
    kind("404", 10, "pending", "not_found", |_| {
        vec![Step::http(404, r#"{"message":"Order not found"}"#)]
    }),
    kind("500 for ever", 10, "pending", "provider_error", |_| {
        vec![Step::http(500, "{}")]
    }),
    kind("never answers", 4, "pending", "unreachable", |_| {
        vec![Reply::Hang.into()]
    }),
    kind("garbage", 10, "pending", "provider_error", |nth| {
        let garbage = [
            Reply::NotJson,
            Reply::Empty,
            Reply::NotUtf8,
            Reply::WithoutPath,
            Reply::EscapedNul,
        ];
        vec![garbage[nth % garbage.len()].clone().into()]
    }),
    kind("the wrong amount", 5, "review", "mismatch", |_| {
        vec![Step::status("succeeded").paid("1000.00", "USD")]
    }),
];

const fn kind(
    name: &'static str,
    orders: usize,
    state: &'static str,
    outcome: &'static str,
    says: fn(usize) -> Vec<Step>,
) -> Kind {
    Kind {
        name,
        orders,
        state,
        outcome,
        provider: VENDOR,
        says,
    }
}

fn say(word: &str) -> Vec<Step> {
    vec![Step::status(word)]
}

impl Kind {
    /// Whether somebody has to ask by hand: its schedule is longer than the demo.
    pub(crate) fn is_held_back(&self) -> bool {
        self.provider == PATIENT
    }
}

/// All orders, the same ones in every run.
pub(crate) fn plan() -> Vec<Order> {
    let kinds = KINDS
        .iter()
        .flat_map(|kind| repeat_n(kind, kind.orders).enumerate());
    let orders = kinds.zip(1_u32..).map(|((nth, kind), serial)| {
        // Scattered over the numbers, and so over time, as real ones are.
        let scattered = serial.wrapping_mul(0x9E37_79B1);
        let amount = format!("{}.{:02}", scattered % 90, 10 + scattered % 89);
        Order {
            number: format!("ORD-{}-{scattered:08X}", 1_765_360_649 + serial),
            reference: (33_375_390 + serial).to_string(),
            fate: Fate::of((kind.says)(nth)).paid(&amount, "USD"),
            amount,
            kind,
        }
    });
    orders.collect()
}
