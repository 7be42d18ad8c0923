//! One suite for all backends: what a caller may rely on must not depend on where the bytes are.
//!
//! `shared_by_all!` makes three tests of each function of `turns`, `journal`, `lanes`, `links`, `documents`, `plugin_data`, `records`, `leases`, `counters` and `paces`:
//! one on a fresh embedded store, one on an empty database of a real redis-server, one on an empty cluster of three. What only one backend has (crash safety,
//! expiry by an injected clock; a server that goes away, two hosts) is in `embedded_only` and `redis_only`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod counters;
mod documents;
mod embedded_only;
mod harness;
mod journal;
mod lanes;
mod leases;
mod links;
mod losing_proxy;
mod paces;
mod plugin_data;
mod records;
mod redis_cluster;
mod redis_cluster_only;
mod redis_hosts;
mod redis_only;
mod redis_server;
mod shared_cache;
mod turns;

macro_rules! shared_by_all {
    ($($module:ident: $($name:ident)+;)+) => {
        mod embedded {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = crate::harness::embedded().await;
                crate::$module::$name(fixture.store).await;
            })+)+
        }
        mod redis {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = crate::harness::redis().await;
                crate::$module::$name(fixture.store).await;
            })+)+
        }
        mod cluster {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let fixture = crate::harness::cluster().await;
                crate::$module::$name(fixture.store).await;
            })+)+
        }
    };
}

shared_by_all! {
    turns:
        a_commit_is_what_the_next_turn_reads
        a_transcript_keeps_its_order_and_can_be_paged
        fifty_turns_run_one_at_a_time_in_arrival_order
        a_waiting_turn_is_busy_after_its_time
        a_lease_taken_over_can_not_commit
        a_late_commit_succeeds_if_nobody_took_over
        an_answer_is_stored_with_its_turn
        an_abandoned_turn_leaves_nothing
        a_dropped_lease_lets_the_next_turn_begin
        a_cancelled_wait_does_not_block_the_queue
        a_deleted_conversation_is_gone_and_refuses_the_running_turn
        conversations_with_odd_names_do_not_meet
        a_conversation_expires_soon_after_its_time
        a_large_turn_is_stored_whole
        a_request_that_was_answered_is_answered_again_without_the_lock
        a_request_that_is_being_served_is_in_flight
        a_turn_too_many_is_crowded_out
        a_repeat_that_waited_is_answered_and_lets_the_next_begin;
    journal:
        a_turn_that_lost_its_lock_is_found_by_the_next
        a_turn_that_was_abandoned_is_found_too_and_a_new_journal_replaces_it
        a_deleted_conversation_has_no_unfinished_turn
        a_kept_lease_commits_again
        a_kept_lease_can_be_taken_over_after_its_hold
        a_renewed_turn_is_kept_beyond_its_hold
        turns_are_recorded_by_their_number
        a_commit_pushes_and_drops_work_in_one_step
        a_commit_that_lost_its_lease_leaves_no_work;
    lanes:
        entries_come_in_their_order_to_one_holder
        a_lane_waits_as_a_whole_until_it_is_hastened
        a_lane_is_due_soon_after_its_time
        a_note_lasts_until_the_next_settling_and_no_longer_than_its_lane
        a_dropped_lane_can_not_be_settled
        a_push_with_a_name_is_done_once
        a_push_with_a_number_is_done_once
        settling_pushes_more_work_in_the_same_step
        lanes_are_listed_by_prefix_and_read_without_holding_them
        whoever_waits_for_work_hears_of_it
        eight_workers_do_each_entry_once_and_in_order;
    links:
        members_come_by_expiry_the_latest_first
        a_member_goes_with_its_time_and_leaves_the_others
        links_with_odd_names_do_not_meet;
    documents:
        changes_are_made_together_and_versioned
        watchers_see_the_version_change
        a_document_of_64_mib_comes_back_whole
        a_document_may_grow_large_and_small_again
        many_documents_are_read_whole_though_they_are_large_together;
    plugin_data:
        values_can_be_set_read_and_deleted
        a_scan_is_in_byte_order_and_pages
        twenty_inserts_have_one_winner
        numbers_add_up_and_refuse_other_values
        a_tally_makes_all_its_steps_or_none
        a_tally_stays_within_its_range
        tallies_at_once_are_all_counted;
    records:
        records_come_newest_first_and_page
        a_log_keeps_its_newest_and_at_most_a_tenth_more
        no_number_is_used_twice
        appenders_at_once_lose_nothing_and_do_not_mix
        logs_with_odd_names_do_not_meet_and_are_listed_by_prefix;
    leases:
        a_lease_has_one_holder_until_its_time_is_over
        twenty_takers_have_one_winner
        only_the_newest_fence_writes
        a_value_is_removed_with_the_fence_too
        leased_values_with_odd_names_do_not_meet;
    counters:
        windows_count_apart
        two_hundred_steps_at_once_are_all_counted;
    paces:
        places_are_spaced_and_one_that_comes_too_late_is_not_taken
        a_pause_meets_its_lane_only_and_the_longer_one_stays
        hosts_at_once_get_places_apart;
}
