//! Children that misbehave, each in a way of its own: `rogue.sh`.

use std::{fs, time::Duration};

use media::{Error, Limits};

use super::{Fickle, Files, House, LIMITS, Patient, assert_crashed, assert_limit, probe};

#[test]
fn child_that_dies_before_it_is_ready_is_tried_three_times() {
    let house = House::rogue("dies_before_ready");
    assert_crashed(house.run(&LIMITS), "exit status: 3");
    assert_eq!(house.starts(), 3);
}

#[test]
fn child_that_dies_with_its_task_is_tried_three_times() {
    let house = House::rogue("dies_with_task");
    assert_crashed(house.run(&LIMITS), "SIGSEGV");
    assert_eq!(house.starts(), 3);
}

#[test]
fn child_that_dies_at_work_costs_the_attempt() {
    for (behaviour, why) in [
        ("dies_at_work", "SIGSEGV"),
        ("is_killed", "SIGKILL"),
        ("leaves_without_answer", "exit status: 0"),
        ("hangs_up", "SIGKILL"),
    ] {
        let house = House::rogue(behaviour);
        assert_crashed(house.run(&LIMITS), why);
        assert_eq!(house.starts(), 1, "{behaviour}");
        house.assert_empty();
    }
}

#[test]
fn child_that_is_dead_at_hand_out_is_replaced() {
    let house = House::rogue("dies_once");
    assert_eq!(house.run(&LIMITS), Err(Error::NoSpace));
    assert_eq!(house.starts(), 2);
}

#[test]
fn child_that_breaks_the_protocol_is_killed() {
    for (behaviour, why) in [
        ("babbles", "makes no sense"),
        ("announces_much", "of 4294967295 bytes"),
        ("is_ready_twice", "ready twice"),
        ("is_never_ready", "before it was ready"),
        ("mistakes_its_task", "another kind"),
        ("asks_for_foreign_source", "source 1"),
        ("floods", "floods"),
    ] {
        let house = House::rogue(behaviour);
        assert_crashed(house.run(&LIMITS), why);
        assert_eq!(house.starts(), 1, "{behaviour}");
        house.assert_empty();
    }
}

#[test]
fn child_that_takes_no_answers_is_killed() {
    let house = House::rogue("asks_for_everything");
    let source = house.folder.path().join("source");
    fs::write(&source, "x").unwrap();
    let task = probe(&[source.to_str().unwrap()]);
    assert_crashed(house.pool.run(&task, &Files, None, &LIMITS, &Patient), "before it took the last");
}

#[test]
fn child_that_gets_nowhere_is_killed() {
    for behaviour in ["hangs", "sends_half", "goes_in_circles"] {
        let house = House::rogue(behaviour);
        let limits = Limits { no_progress: Duration::from_millis(200), ..LIMITS };
        assert_limit(house.run(&limits), "it got nowhere for 200ms");
        house.assert_empty();
    }
}

#[test]
fn child_that_takes_too_long_is_killed() {
    let house = House::rogue("is_slow");
    let limits = Limits { wall: Duration::from_millis(300), ..LIMITS };
    assert_limit(house.run(&limits), "longer than 300ms");
    house.assert_empty();
}

#[test]
fn child_that_takes_too_much_memory_is_killed() {
    let house = House::rogue("eats_memory");
    assert_limit(house.run(&Limits { memory_bytes: 100 << 20, ..LIMITS }), "104857600 are allowed");
}

#[test]
fn child_whose_output_gets_too_big_went_over_a_limit() {
    assert_limit(House::rogue("runs_out_of_output").run(&LIMITS), "the output is over");
}

#[test]
fn child_that_ignores_a_cancellation_is_killed() {
    let house = House::rogue("is_slow");
    let control = Fickle::default();
    let result = house.pool.run(&probe(&["nothing"]), &Files, None, &LIMITS, &control);
    let took = control.at.lock().unwrap().unwrap().elapsed();
    assert_eq!(result, Err(Error::Cancelled));
    assert!(took < Duration::from_secs(2), "{took:?}");
    house.assert_empty();
}

#[test]
fn cancelled_task_is_not_started() {
    let house = House::rogue("answers");
    let control = Fickle { cancelled: true.into(), ..Fickle::default() };
    assert_eq!(house.pool.run(&probe(&[]), &Files, None, &LIMITS, &control), Err(Error::Cancelled));
    assert!(!house.folder.path().join("starts").exists());
}

#[test]
fn processes_that_a_child_has_started_end_with_it() {
    let house = House::rogue("has_children");
    assert_eq!(house.run(&LIMITS), Err(Error::NoSpace));
    house.assert_empty();
}

#[test]
fn child_that_logs_much_is_not_held_up() {
    assert_eq!(House::rogue("logs_much").run(&LIMITS), Err(Error::NoSpace));
}
