//! Golden transcripts of the SQL API: each script of `tests/golden` says in its first line what it shows, and answers
//! as it was recorded.

use anyhow::Result;
use reconcile_tests::cluster::{Contents, shared};
use reconcile_tests::transcript;

/// A test for each script, and one that no script is forgotten.
macro_rules! transcripts {
    ($($test:ident: $script:literal),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                let cluster = shared().await?;
                let database = cluster.database(concat!("golden_", $script), Contents::Extension).await?;
                transcript::compare(cluster, database, $script).await
            }
        )+

        #[test]
        fn every_script_is_run_and_opens_with_a_sentence() -> Result<()> {
            let mut run = vec![$($script),+];
            run.sort_unstable();
            assert_eq!(transcript::names("")?, run);
            Ok(())
        }
    };
}

transcripts! {
    a_provider_is_added_altered_paused_and_kept_in_all_versions: "provider",
    a_provider_whose_requests_could_not_be_built_is_refused_by_field: "bad_provider_request",
    a_provider_whose_times_or_limits_make_no_sense_is_refused_by_field: "bad_provider_policy",
    an_order_is_tracked_once: "tracking",
    an_order_that_could_not_be_asked_about_is_refused: "bad_orders",
    a_person_decides_and_beats_a_check_in_flight: "resolving",
    stale_orders_are_made_due_counted_and_given_up: "stale_orders",
    an_empty_installation_answers_plainly: "empty",
    the_audit_can_not_be_changed: "audit",
    an_orders_story_is_told_in_plain_text: "story",
    every_state_by_every_outcome_is_decided: "decisions",
    every_word_of_the_application_is_weighed_against_every_outcome: "word",
    schedules_are_read_or_refused: "schedules",
    the_judges_small_questions_are_answered: "judging",
    the_protocol_works_by_hand: "protocol",
    odd_reports_harm_nobody: "odd_reports",
    hostile_answers_become_recorded_outcomes: "hostile_answers",
    secrets_are_masked_before_they_are_stored: "redaction",
    waiting_calls_answer_at_once_when_nobody_can_ask: "waiting",
}
