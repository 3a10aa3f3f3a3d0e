// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking things up among series.

use sgring_bench::series::Series;

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// All series that were measured.
#[derive(Clone, Copy)]
pub struct Found<'a>(pub &'a [Series]);

impl<'a> Found<'a> {
    /// The series of this name with all these labels, in order.
    pub fn all(self, name: &str, labels: &[Label<'_>]) -> impl Iterator<Item = &'a Series> {
        self.0.iter().filter(move |series| {
            series.name() == name
                && labels
                    .iter()
                    .all(|(label, value)| series.get(label) == Some(value))
        })
    }

    /// The median of the one such series of rings of `bytes` bytes.
    pub fn median(self, name: &str, bytes: usize, labels: &[Label<'_>]) -> Option<u64> {
        let size = bytes.to_string();
        let labels = [labels, &[("ring_bytes", size.as_str())]].concat();
        self.all(name, &labels).next()?.median()
    }

    /// The bytes of all rings in series whose names begin with `kind`.
    pub fn sizes(self, kind: &str) -> Vec<usize> {
        let of_kind = self.0.iter().filter(|s| s.name().starts_with(kind));
        let mut sizes: Vec<_> = of_kind
            .filter_map(|series| series.get("ring_bytes")?.parse().ok())
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The driver's fault window, in pages.
    pub fn default_window(self) -> String {
        let found = self.all("driver.fault_window", &[]).next();
        found
            .and_then(Series::median)
            .map_or_else(String::new, |pages| pages.to_string())
    }
}

/// Bytes for people.
pub fn size(bytes: usize) -> String {
    match bytes {
        n if n >= 1 << 20 => format!("{} MiB", n >> 20),
        n => format!("{} KiB", n >> 10),
    }
}

/// A number with its thousands apart.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if left > 0 && left % 3 == 0 {
            text.push(',');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([4096, 2 << 20].map(size), ["4 KiB", "2 MiB"]);
    }
}
