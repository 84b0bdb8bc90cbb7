//! What becomes of findings that are refused, lost, too slow, or late.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_refused_costs_itself_and_what_is_lost_is_said_again() {
    let mut running = start(&[("a", 10 * MS)]).await;
    {
        let mut database = running.database.lock().unwrap();
        database.refused = HashSet::from([5]);
        database.busy = HashSet::from([3]);
        database.to_lose = 2;
    }
    for _ in 0..9 {
        running.find("a", false).await;
    }
    sleep(SECOND).await;
    let mut orders: Vec<i64> = running
        .reports()
        .into_iter()
        .flat_map(|report| report.orders)
        .collect();
    orders.sort_unstable();
    assert_eq!(orders, [1, 2, 3, 3, 4, 6, 7, 8, 9]);
    assert_eq!(running.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_a_person_cancels_is_made_again() {
    let mut running = start(&[]).await;
    running.database.lock().unwrap().cancelled = HashSet::from([1]);
    running.find("a", false).await;
    sleep(10 * MS).await;
    assert_eq!(running.reports().len(), 0);
    assert_eq!(running.unacknowledged(), 1, "the answer is kept");
    sleep(SECOND).await;
    assert_eq!(running.reports()[0].orders, [1]);
    assert_eq!(running.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_takes_too_long_is_halved_off_the_others_connections() {
    let mut running = start(&[("slow", 60 * SECOND)]).await;
    for _ in 0..4 {
        running.find("slow", false).await;
    }
    sleep(31 * SECOND).await;
    running
        .database
        .lock()
        .unwrap()
        .takes
        .insert("slow", 2 * SECOND);
    sleep(60 * SECOND).await;
    let sizes: Vec<usize> = running
        .reports()
        .iter()
        .map(|report| report.orders.len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
    assert_eq!(running.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_all_is_delivered_and_slots_come_back_after_acknowledgement() {
    let mut running = start(&[("a", 100 * MS), ("b", 100 * MS)]).await;
    for _ in 0..20 {
        running.find("a", false).await;
        running.find("b", false).await;
    }
    sleep(50 * MS).await;
    assert_eq!(running.unacknowledged(), 40);
    running.finish.cancel();
    timeout(SECOND, &mut running.task).await.unwrap().unwrap();
    assert_eq!(running.unacknowledged(), 0);
    assert_eq!(running.database.lock().unwrap().open, 0);
}
