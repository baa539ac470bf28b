//! Samples of one metric, and how they are encoded.

use super::catalog::{MetricKind, MetricSpec};
use causeway_engine::WriteMeter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::Arc;

#[derive(Debug)]
enum Value {
    Count(u64),
    Measure(f64),
    Latency(Arc<WriteMeter>),
}

/// One metric with its samples.
#[derive(Debug)]
pub(crate) struct Family {
    spec: &'static MetricSpec,
    samples: Vec<(Vec<String>, Value)>,
}

impl Family {
    pub fn new(spec: &'static MetricSpec) -> Self {
        Self { spec, samples: Vec::new() }
    }

    /// A metric with one sample.
    pub fn of(spec: &'static MetricSpec, value: f64) -> Self {
        let mut family = Self::new(spec);
        family.measure(&[], value);
        family
    }

    /// `labels`: the values, in the order of the metric's labels.
    pub fn measure(&mut self, labels: &[&str], value: f64) {
        self.add(labels, Value::Measure(value));
    }

    pub fn count(&mut self, labels: &[&str], count: u64) {
        self.add(labels, Value::Count(count));
    }

    pub fn latency(&mut self, labels: &[&str], meter: Arc<WriteMeter>) {
        self.add(labels, Value::Latency(meter));
    }

    fn add(&mut self, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), self.spec.labels.len(), "{}", self.spec.name);
        self.samples.push((labels.iter().map(|label| (*label).to_owned()).collect(), value));
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.spec.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let mut metric = encoder.encode_descriptor(self.spec.name, self.spec.help, None, kind)?;
        for (values, value) in &self.samples {
            let labels: Vec<_> = self.spec.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
            Self::Measure(value) => encoder.encode_gauge(value),
            Self::Latency(meter) => meter.latency().encode(encoder),
        }
    }
}

/// All metrics as they stand at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(pub Vec<Family>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}
