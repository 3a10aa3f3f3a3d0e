// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series: numbers that were measured one after the other, and every parameter that they depend on.
//!
//! One JSON object a line, of these four members and no others:
//!
//! ```json
//! {"series": "mmap.call", "unit": "instructions", "labels": {"clock": "icount"}, "values": [5940, 5940]}
//! ```
//!
//! | member | what |
//! |---|---|
//! | `series` | its name: words of `a-z0-9_` with dots between |
//! | `unit` | what a value counts |
//! | `labels` | parameters: names of `a-z0-9_`, values are text |
//! | `values` | whole numbers as they were measured, in order; at least one |
//!
//! A file of them has no two of the same name and labels.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::io::{self, Write};

/// A series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    name: String,
    unit: String,
    labels: BTreeMap<String, String>,
    values: Vec<u64>,
}

impl Series {
    /// An empty one.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            labels: BTreeMap::new(),
            values: Vec::new(),
        }
    }

    /// Adds a parameter, or changes it.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.labels.insert(name.into(), value.to_string());
        self
    }

    /// Adds a measured number.
    pub fn push(&mut self, value: u64) {
        self.values.push(value);
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a value counts.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// A parameter.
    #[must_use]
    pub fn get(&self, label: &str) -> Option<&str> {
        self.labels.get(label).map(String::as_str)
    }

    /// All parameters.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// What was measured, in order.
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// The value in the middle, the lower of two; `None` where nothing was measured.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        let mut values = self.values.clone();
        values.sort_unstable();
        values.get(values.len().checked_sub(1)? / 2).copied()
    }

    /// Prints it to standard output.
    ///
    /// # Errors
    ///
    /// Those of the output; `InvalidData` for what [`read`] would not take.
    pub fn print(&self) -> io::Result<()> {
        self.check().map_err(io::Error::other)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{self}")?;
        out.flush()
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let Value::Object(mut members) = value else {
            return Err("not an object".into());
        };
        let mut take = |name: &str| members.remove(name).ok_or(format!("no member {name:?}"));
        let text = |name: &str, value: Value| match value {
            Value::String(text) => Ok(text),
            _ => Err(format!("{name}: not text")),
        };
        let mut series = Self::new(
            text("series", take("series")?)?,
            text("unit", take("unit")?)?,
        );
        let (labels, values) = (take("labels")?, take("values")?);
        if let Some(name) = members.keys().next() {
            return Err(format!("a member {name:?}, which a series has not"));
        }
        let Value::Object(labels) = labels else {
            return Err("labels: not an object".into());
        };
        for (name, value) in labels {
            let value = text(&name, value)?;
            series.labels.insert(name, value);
        }
        let Value::Array(values) = values else {
            return Err("values: not an array".into());
        };
        for value in values {
            series.push(
                value
                    .as_u64()
                    .ok_or(format!("values: {value}: not a whole number"))?,
            );
        }
        series.check()?;
        Ok(series)
    }

    /// Whether it is one that may be printed.
    fn check(&self) -> Result<(), String> {
        let word = |text: &str| {
            let legal = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_');
            !text.is_empty() && text.chars().all(legal)
        };
        if !self.name.split('.').all(word) {
            return Err(format!(
                "series {:?}: not words of a-z0-9_ with dots",
                self.name
            ));
        }
        if self.unit.is_empty() {
            return Err(format!("{}: no unit", self.name));
        }
        for (name, value) in &self.labels {
            if !word(name) || value.is_empty() {
                return Err(format!(
                    "{}: label {name:?} is {value:?}: the name is of a-z0-9_, the value not empty",
                    self.name
                ));
            }
        }
        if self.values.is_empty() {
            return Err(format!("{}: nothing was measured", self.name));
        }
        Ok(())
    }
}

impl Display for Series {
    /// As a line, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Map<_, _> = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let line = json!({
            "series": self.name,
            "unit": self.unit,
            "labels": labels,
            "values": self.values,
        });
        write!(f, "{line}")
    }
}

/// Reads a file of series.
///
/// # Errors
///
/// What is wrong, and in which line; a file without a series is wrong, and one that has a series twice.
pub fn read(text: &str) -> Result<Vec<Series>, String> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let series = Series::parse(line).map_err(|e| format!("line {number}: {e}"))?;
        if !seen.insert((series.name.clone(), series.labels.clone())) {
            return Err(format!(
                "line {number}: {} with these labels was there before",
                series.name
            ));
        }
        all.push(series);
    }
    if all.is_empty() {
        return Err("no series".into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let mut series = Series::new("mmap.call", "ns")
            .label("clock", "host")
            .label("ring_bytes", 4096);
        for value in [3, u64::MAX, 0] {
            series.push(value);
        }
        series
    }

    #[test]
    fn what_is_written_is_read() {
        let line = series().to_string();
        assert!(!line.contains('\n'));
        assert_eq!(Series::parse(&line), Ok(series()));
        assert_eq!(read(&format!("{line}\n")), Ok(vec![series()]));
    }

    #[test]
    fn the_median_is_a_value() {
        assert_eq!(series().median(), Some(3));
        let mut even = Series::new("a", "ns");
        assert_eq!(even.median(), None);
        for value in [9, 1, 5, 2] {
            even.push(value);
        }
        assert_eq!(even.median(), Some(2));
    }

    #[test]
    fn what_is_no_series_is_refused() {
        let whole = series().to_string();
        for (from, to, why) in [
            ("[3,", "[-3,", "not a whole number"),
            ("[3,", "[3.5,", "not a whole number"),
            (r#""4096""#, "4096", "ring_bytes: not text"),
            (r#""4096""#, r#""""#, "not empty"),
            ("ring_bytes", "Ring bytes", "a-z0-9_"),
            ("mmap.call", "mmap..call", "words"),
            (r#""unit":"ns""#, r#""unit":"""#, "no unit"),
            (r#""unit":"ns","#, "", "no member \"unit\""),
            (r#""unit":"#, r#""more":1,"unit":"#, "more"),
            (
                r#""values":[3,18446744073709551615,0]"#,
                r#""values":[]"#,
                "nothing was measured",
            ),
        ] {
            let line = whole.replacen(from, to, 1);
            assert_ne!(line, whole, "{from}");
            let error = Series::parse(&line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
        for line in ["", "[]", "{", "1"] {
            assert!(Series::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_file_has_each_once_and_at_least_one() {
        let line = series().to_string();
        let error = read(&format!("{line}\n{line}\n")).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
        assert_eq!(read(""), Err("no series".into()));
        let other = series().label("clock", "icount");
        assert_eq!(
            read(&format!("{line}\n{other}\n")).map(|all| all.len()),
            Ok(2)
        );
    }
}
