// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series: numbers that were measured, and every parameter they depend on.
//!
//! One JSON object a line: `{"series": NAME, "unit": UNIT, "labels": {…}, "values": […]}`.

use serde_json::{Map, Value, json};
use std::fmt::Display;

/// A series under way.
#[derive(Clone, Debug)]
pub struct Series {
    name: &'static str,
    unit: &'static str,
    labels: Map<String, Value>,
    values: Vec<u64>,
}

impl Series {
    /// An empty one.
    #[must_use]
    pub fn new(name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            unit,
            labels: Map::new(),
            values: Vec::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn label(mut self, name: &str, value: impl Display) -> Self {
        self.labels.insert(name.into(), value.to_string().into());
        self
    }

    /// Adds a measured number.
    pub fn push(&mut self, value: u64) {
        self.values.push(value);
    }

    /// Prints it, if anything was measured.
    pub fn print(&self) {
        if !self.values.is_empty() {
            let line = json!({
                "series": self.name,
                "unit": self.unit,
                "labels": self.labels,
                "values": self.values,
            });
            println!("{line}");
        }
    }
}
