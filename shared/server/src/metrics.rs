//! Numbers about requests. No label names an account, or anything that a caller can make up.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The content type of the text format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: String,
    code: String,
}

/// How many requests, how they ended, how long they took.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    answers: Family<Answer, Counter>,
    seconds: Family<Method, Histogram>,
    in_flight: Gauge,
}

impl RequestMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        // 1 ms to 65 s, each four times the one before; streams are beyond.
        let histogram = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        let metrics = Self {
            answers: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
        };
        registry.register("requests", "Requests answered, by method and status", metrics.answers.clone());
        registry.register(
            "request_duration_seconds",
            "Time from a request to the end of its answer, by method",
            metrics.seconds.clone(),
        );
        registry.register("requests_in_flight", "Requests being answered", metrics.in_flight.clone());
        metrics
    }

    pub(crate) fn begin(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn end(&self, method: String, code: String, time: Duration) {
        self.in_flight.dec();
        self.seconds.get_or_create(&Method { method: method.clone() }).observe(time.as_secs_f64());
        self.answers.get_or_create(&Answer { method, code }).inc();
    }
}
