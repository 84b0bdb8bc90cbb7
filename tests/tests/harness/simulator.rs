//! The simulator: fates, records, gates, the control endpoint, its program.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use reconcile_tests::leash::Leashed;
use reconcile_tests::simulator::{Fate, Reply, Simulator, Step};
use reconcile_tests::wait;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

async fn ask(simulator: &Simulator, order_number: &str) -> Result<Value> {
    let url = simulator.url(&format!("/orders/{order_number}?invoice=33375390"));
    Ok(serde_json::from_str(
        &reqwest::get(url).await?.text().await?,
    )?)
}

#[tokio::test]
async fn an_orderly_answer_has_the_vendors_shape() -> Result<()> {
    let simulator = Simulator::start()?;
    let answer = ask(&simulator, "ORD-1765360649-0E184E02").await?;
    assert_eq!(answer["message"], "Success");
    let data = &answer["data"];
    assert_eq!(data["invoiceId"], "33375390");
    assert_eq!(data["reference"], "ORD-1765360649-0E184E02");
    assert_eq!(
        (&data["retailPrice"], &data["currency"]),
        (&json!("0.73"), &json!("USD"))
    );
    assert_eq!(data["status"], "succeeded");
    assert_eq!(data["transactionId"], "TXN-ORD-1765360649-0E184E02");
    Ok(())
}

#[tokio::test]
async fn steps_are_taken_one_a_call_and_the_last_repeats() -> Result<()> {
    let simulator = Simulator::start()?;
    let steps = [
        Step::status("pending"),
        Step::status("failed").paid("9.99", "EUR"),
    ];
    simulator.set_fate("A", Fate::of(steps).paid("5.00", "GBP"));
    simulator.set_default(Fate::of([
        Step::status("processing"),
        Step::status(json!({"code": 7})),
    ]));
    let mut seen = Vec::new();
    for order_number in ["A", "B", "A", "B", "A", "C"] {
        seen.push(ask(&simulator, order_number).await?["data"].clone());
    }
    let statuses: Vec<_> = seen.iter().map(|data| data["status"].to_string()).collect();
    assert_eq!(
        statuses,
        [
            r#""pending""#,
            r#""processing""#,
            r#""failed""#,
            r#"{"code":7}"#,
            r#""failed""#,
            r#""processing""#
        ]
    );
    assert_eq!(
        (&seen[0]["retailPrice"], &seen[0]["currency"]),
        (&json!("5.00"), &json!("GBP"))
    );
    assert_eq!(
        (&seen[2]["retailPrice"], &seen[2]["currency"]),
        (&json!("9.99"), &json!("EUR"))
    );
    assert_eq!(
        (&seen[5]["retailPrice"], &seen[5]["currency"]),
        (&json!("0.73"), &json!("USD"))
    );
    Ok(())
}

#[tokio::test]
async fn status_headers_and_latency_are_as_told() -> Result<()> {
    let simulator = Simulator::start()?;
    let throttled = Step::http(429, "slow down")
        .header("Retry-After", "7")
        .after_ms(120);
    simulator.set_fate("A", Fate::of([throttled]));
    let began = Instant::now();
    let response = reqwest::get(simulator.url("/orders/A")).await?;
    assert!(began.elapsed() >= Duration::from_millis(120));
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.text().await?, "slow down");
    Ok(())
}

#[tokio::test]
async fn calls_are_recorded_as_they_came() -> Result<()> {
    let simulator = Simulator::start()?;
    let request = reqwest::Client::new()
        .post(simulator.url("/orders/ORD%2F1%20%C3%A9?x=1&invoice=I%2B2"))
        .header("Authorization", "Bearer token")
        .body("a=b");
    let answer: Value = serde_json::from_str(&request.send().await?.text().await?)?;
    assert_eq!(answer["data"]["reference"], "ORD/1 é");
    assert_eq!(answer["data"]["invoiceId"], "I+2");
    let calls = simulator.calls("ORD/1 é");
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].nth, calls[0].method.as_str()), (1, "POST"));
    assert_eq!(calls[0].query, "x=1&invoice=I%2B2");
    assert_eq!(calls[0].header("authorization"), Some("Bearer token"));
    assert_eq!(calls[0].body.as_ref(), b"a=b");
    assert_eq!(simulator.all_calls().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_gate_holds_answers_whose_calls_have_arrived() -> Result<()> {
    let simulator = Simulator::start()?;
    let gate = simulator.hold("A");
    let answers = async { tokio::try_join!(ask(&simulator, "A"), ask(&simulator, "A")) };
    tokio::pin!(answers);
    tokio::select! {
        arrived = simulator.arrived("A", 2, SOON) => arrived?,
        _ = &mut answers => panic!("answered through a shut gate"),
    }
    ask(&simulator, "B").await?;
    assert_eq!(simulator.totals().in_flight, 2);
    // Too late for the calls that are there.
    simulator.set_fate("A", Fate::status("failed"));

    gate.let_through(1);
    tokio::select! {
        went = wait::until(SOON, "one answer", async || simulator.totals().in_flight == 1) => went?,
        _ = &mut answers => panic!("both went through"),
    }
    gate.open();
    let (one, two) = answers.await?;
    assert_eq!(
        (&one["data"]["status"], &two["data"]["status"]),
        (&json!("succeeded"), &json!("succeeded"))
    );
    assert_eq!(ask(&simulator, "A").await?["data"]["status"], "failed");

    let totals = simulator.totals();
    assert_eq!(
        (totals.calls, totals.orders, totals.max_in_flight),
        (4, 2, 3)
    );
    let late = simulator
        .arrived("A", 9, Duration::from_millis(20))
        .await
        .expect_err("no ninth call");
    assert!(late.to_string().contains("there were 3"), "{late}");
    Ok(())
}

#[tokio::test]
async fn a_caller_that_gives_up_is_no_longer_in_flight() -> Result<()> {
    let simulator = Simulator::start()?;
    let _gate = simulator.hold_all();
    simulator.set_fate("B", Fate::of([Reply::Hang.into()]));
    for order_number in ["A", "B"] {
        let given_up =
            tokio::time::timeout(Duration::from_millis(50), ask(&simulator, order_number));
        assert!(given_up.await.is_err());
    }
    assert_eq!(simulator.totals().calls, 2);
    simulator.idle(SOON).await
}

#[tokio::test]
async fn a_provider_goes_away_and_comes_back_where_it_was() -> Result<()> {
    let simulator = Simulator::start()?;
    let address = simulator.address();
    ask(&simulator, "A").await?;
    drop(simulator);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let fate = Fate::status("cancelled");
    let back = Simulator::start_with(address, fate, reconcile_tests::simulator::Recording::Counts)?;
    assert_eq!(ask(&back, "A").await?["data"]["status"], "cancelled");
    assert_eq!((back.count("A"), back.all_calls().len()), (1, 0));
    Ok(())
}

#[tokio::test]
async fn the_program_is_steered_over_its_control_endpoint() -> Result<()> {
    let arguments = ["--latency-ms", "30", "--statuses", "pending,failed"].map(str::to_owned);
    let program = Leashed::start(Path::new(env!("CARGO_BIN_EXE_simulator")), &arguments, &[])?;
    wait::until(SOON, "its address", async || {
        program.stdout().contains('\n')
    })
    .await?;
    let base = format!("http://{}", program.stdout().trim());
    let client = reqwest::Client::new();
    let get = async |path: &str| -> Result<Value> {
        let text = client
            .get(format!("{base}{path}"))
            .send()
            .await?
            .text()
            .await?;
        Ok(serde_json::from_str(&text)?)
    };
    let began = Instant::now();
    assert_eq!(get("/orders/A").await?["data"]["status"], "pending");
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert_eq!(get("/orders/A").await?["data"]["status"], "failed");

    let fate = r#"{"amount": "8.00", "latency_ms": 0, "steps": [{"reply": {"answer": {"status": "refunded"}}}]}"#;
    let put = client
        .put(format!("{base}/_fates/A"))
        .body(fate)
        .send()
        .await?;
    assert_eq!(put.status(), 204);
    let put = client
        .put(format!("{base}/_default"))
        .body(r#"{"steps": [{"reply": "empty"}]}"#);
    assert_eq!(put.send().await?.status(), 204);
    let bad = client
        .put(format!("{base}/_default"))
        .body(r#"{"stepz": []}"#)
        .send()
        .await?;
    assert_eq!(bad.status(), 400);

    assert_eq!(get("/orders/A").await?["data"]["retailPrice"], "8.00");
    let empty = client.get(format!("{base}/orders/B")).send().await?;
    assert_eq!(empty.text().await?, "");
    assert_eq!(get("/_calls/A").await?["calls"], 3);
    assert_eq!(get("/_totals").await?["calls"], 4);

    program.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(program.ended(SOON).await?, 0);
    Ok(())
}

#[test]
fn a_fate_survives_json() -> Result<()> {
    let steps = [
        Step::status("pending").paid(0.73, "EUR").after_ms(3),
        Step::http(302, "").header("Location", "http://169.254.169.254/"),
        Reply::Large {
            bytes: 7,
            declared: true,
        }
        .into(),
        Reply::Deep(9).into(),
        Reply::Hang.into(),
    ];
    let fate = Fate::of(steps).paid("1", "USD");
    let json = serde_json::to_string(&fate)?;
    assert_eq!(serde_json::from_str::<Fate>(&json)?, fate, "{json}");
    Ok(())
}
