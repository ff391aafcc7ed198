//! Pages of jobs.

use std::collections::HashSet;

use jobs::{Error, Filter, NewJob, Queue, State};

use crate::fixture::{KIND, OWNER, Place, new_job, owned_by, settings, submit};

/// All pages of a list, as ids.
async fn all(queue: &Queue, filter: &Filter, page_size: usize) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let page = queue.list(KIND, OWNER, filter, page_size, &token).await.unwrap();
        assert!(page.jobs.len() <= page_size);
        ids.extend(page.jobs.iter().map(|job| job.id.to_string()));
        token = page.next_page_token;
        if token.is_empty() {
            return ids;
        }
    }
}

#[tokio::test]
async fn pages_are_newest_first_and_complete() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    assert!(all(&queue, &Filter::default(), 10).await.is_empty());
    let mut ids = Vec::new();
    for _ in 0..25 {
        submit(&queue, owned_by("other")).await;
        ids.insert(0, submit(&queue, new_job()).await);
    }
    for page_size in [1, 5, 24, 25, 26, 500] {
        assert_eq!(all(&queue, &Filter::default(), page_size).await, ids, "pages of {page_size}");
    }
    let page = queue.list(KIND, OWNER, &Filter::default(), 0, "").await.unwrap();
    assert_eq!(page.jobs.len(), 1, "a page is never empty for want of size");
}

#[tokio::test]
async fn jobs_added_between_pages_do_not_shift_them() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.insert(0, submit(&queue, new_job()).await);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = queue.list(KIND, OWNER, &Filter::default(), 3, &token).await.unwrap();
        seen.extend(page.jobs.iter().map(|job| job.id.to_string()));
        submit(&queue, new_job()).await;
        queue.delete(KIND, OWNER, seen.last().unwrap()).await.unwrap();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn filters_choose_by_state_and_label() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    let mut by_label = HashSet::new();
    for number in 0..12 {
        let label = (number % 3 == 0).then(|| "asset".to_owned());
        let id = submit(&queue, NewJob { label: label.clone(), ..new_job() }).await;
        if label.is_some() {
            by_label.insert(id.clone());
        }
        if number % 2 == 0 {
            queue.cancel(KIND, OWNER, &id).await.unwrap();
        }
    }
    let state = Some(State::Cancelled);
    let label = Some("asset".to_owned());
    assert_eq!(all(&queue, &Filter { state, label: None }, 4).await.len(), 6);
    let labelled = all(&queue, &Filter { state: None, label: label.clone() }, 3).await;
    assert_eq!(labelled.into_iter().collect::<HashSet<_>>(), by_label);
    assert_eq!(all(&queue, &Filter { state, label }, 1).await.len(), 2);
    let hostile = Filter { state: None, label: Some("' OR 1=1 --\0%".into()) };
    assert!(all(&queue, &hostile, 10).await.is_empty());
}

#[tokio::test]
async fn a_token_of_another_list_is_refused() {
    let place = Place::new();
    let queue = place.open(settings()).await;
    for owner in [OWNER, "other"] {
        for _ in 0..3 {
            submit(&queue, owned_by(owner)).await;
        }
    }
    let token = queue.list(KIND, OWNER, &Filter::default(), 1, "").await.unwrap().next_page_token;
    let failed = Filter { state: Some(State::Failed), label: None };
    let theirs = queue.list(KIND, "other", &Filter::default(), 1, &token).await;
    let other_kind = queue.list("dvr_export", OWNER, &Filter::default(), 1, &token).await;
    let other_filter = queue.list(KIND, OWNER, &failed, 1, &token).await;
    let cut = queue.list(KIND, OWNER, &Filter::default(), 1, &token[..token.len() - 1]).await;
    let junk = queue.list(KIND, OWNER, &Filter::default(), 1, "'; DROP TABLE jobs; --").await;
    for answer in [theirs, other_kind, other_filter, cut, junk] {
        assert!(matches!(answer, Err(Error::PageToken)), "{answer:?}");
    }
    let own = queue.list(KIND, OWNER, &Filter::default(), 2, &token).await.unwrap();
    assert_eq!(own.jobs.len(), 2, "another page size is fine");
}
