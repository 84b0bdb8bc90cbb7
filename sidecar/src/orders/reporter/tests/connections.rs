//! Which connection a report takes.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_provider_has_one_connection_and_gathers_for_a_millisecond() {
    let mut running = start(&[]).await;
    sleep(SECOND).await;
    running.find("a", false).await;
    settle().await;
    assert_eq!(running.reports().len(), 1, "after a quiet moment at once");
    running.find("a", false).await;
    running.find("a", false).await;
    settle().await;
    assert_eq!(running.reports().len(), 1, "then together");
    sleep(2 * MS).await;
    assert_eq!(running.reports()[1].orders, [2, 3]);
    running.find("a", true).await;
    settle().await;
    assert_eq!(running.reports().len(), 3, "somebody waits");
    for _ in 0..700 {
        running.find("a", false).await;
    }
    sleep(10 * MS).await;
    assert!(
        running
            .reports()
            .iter()
            .all(|report| report.orders.len() <= MAX_FINDINGS)
    );
    assert_eq!(running.unacknowledged(), 0);
    assert_eq!(running.database.lock().unwrap().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_long_delays_nobody_else() {
    let mut running = start(&[("slow", 20 * SECOND)]).await;
    for _ in 0..100 {
        running.find("slow", false).await;
        running.find("a", false).await;
        running.find("b", false).await;
        sleep(SECOND).await;
    }
    for quick in ["a", "b"] {
        let orders: usize = running
            .reports_for(quick)
            .iter()
            .map(|report| report.orders.len())
            .sum();
        assert_eq!(orders, 100, "{quick}");
    }
    // Its first report took a connection of the quick ones, and one at a time was under way.
    let slow = running.reports_for("slow");
    assert!(slow.len() >= 4);
    assert!(slow.windows(2).all(|pair| pair[0].to <= pair[1].from));
    assert!(
        slow[1..]
            .iter()
            .all(|report| report.connection == slow[1].connection)
    );
    assert!(
        running.reports_for("a")[30..]
            .iter()
            .all(|report| report.connection != slow[1].connection)
    );
}

#[tokio::test(start_paused = true)]
async fn slow_providers_share_one_connection_until_they_are_quick_again() {
    let mut running = start(&[("x", 2 * SECOND), ("y", 2 * SECOND)]).await;
    for _ in 0..3 {
        running.find("x", false).await;
        running.find("y", false).await;
        sleep(10 * SECOND).await;
    }
    let reports = running.reports();
    let (x, y) = (running.reports_for("x"), running.reports_for("y"));
    assert_ne!(x[0].connection, y[0].connection);
    assert_eq!(
        (x[1].connection, x[2].connection),
        (y[1].connection, y[2].connection)
    );
    assert!(
        reports[2..]
            .windows(2)
            .all(|pair| pair[0].to <= pair[1].from)
    );
    running.database.lock().unwrap().takes.clear();
    running.find("x", false).await;
    sleep(SECOND).await;
    running.find("x", false).await;
    sleep(SECOND).await;
    let connections: Vec<usize> = running.reports_for("x")[3..]
        .iter()
        .map(|report| report.connection)
        .collect();
    assert_eq!(connections, [x[2].connection, 0]);
}

#[tokio::test(start_paused = true)]
async fn connections_are_opened_for_what_waits_and_closed_again() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let takes = names.map(|name| (name, 500 * MS));
    let mut running = start(&takes).await;
    for name in names {
        running.find(name, false).await;
    }
    sleep(400 * MS).await;
    assert_eq!(running.database.lock().unwrap().open, pool::QUICK);
    sleep(SECOND).await;
    assert_eq!(running.reports().len(), 6);
    assert_eq!(running.unacknowledged(), 0);
    sleep(61 * SECOND).await;
    assert_eq!(running.database.lock().unwrap().open, 1);
    // And opened anew.
    running.find("a", false).await;
    running.find("b", false).await;
    sleep(SECOND).await;
    assert_eq!(running.reports().len(), 8);
}
