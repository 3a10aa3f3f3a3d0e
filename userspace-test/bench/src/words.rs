// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arguments of a measuring program: words `NAME=VALUE,VALUE…`.

use std::io;

/// The arguments.
#[derive(Clone, Debug)]
pub struct Words(Vec<(String, String)>);

impl Words {
    /// Those that this program was started with; `known` are the names it knows.
    ///
    /// # Errors
    ///
    /// One that it does not know.
    pub fn of_program(known: &[&str]) -> io::Result<Self> {
        Self::new(std::env::args().skip(1), known)
    }

    fn new(args: impl Iterator<Item = String>, known: &[&str]) -> io::Result<Self> {
        args.map(|arg| match arg.split_once('=') {
            Some((name, value)) if known.contains(&name) => Ok((name.into(), value.into())),
            _ => Err(io::Error::other(format!(
                "{arg}: no such argument; there are {}=",
                known.join("=, ")
            ))),
        })
        .collect::<io::Result<_>>()
        .map(Self)
    }

    /// The values of `name`, none where it was not given.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let given = self.0.iter().rev().find(|(n, _)| n == name);
        given.map_or(Vec::new(), |(_, value)| {
            value.split(',').filter(|v| !v.is_empty()).collect()
        })
    }

    /// The values of `name` as numbers.
    ///
    /// # Errors
    ///
    /// One that is no number.
    pub fn numbers(&self, name: &str) -> io::Result<Vec<usize>> {
        self.values(name)
            .into_iter()
            .map(|value| {
                let wrong = |e| io::Error::other(format!("{name}={value}: {e}"));
                value.parse().map_err(wrong)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(args: &[&str]) -> io::Result<Words> {
        Words::new(args.iter().map(|&a| a.into()), &["sizes", "modes"])
    }

    #[test]
    fn values_are_split_at_commas_and_the_last_word_counts() {
        let words = words(&["sizes=1", "modes=", "sizes=4,16"]).unwrap();
        assert_eq!(words.numbers("sizes").unwrap(), [4, 16]);
        assert!(words.values("modes").is_empty());
        assert!(words.values("other").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = words(&["size=4"]).unwrap_err().to_string();
        assert!(
            error.contains("size=4") && error.contains("sizes=, modes="),
            "{error}"
        );
        let error = words(&["sizes=4,x"]).unwrap().numbers("sizes").unwrap_err();
        assert!(error.to_string().starts_with("sizes=x: "), "{error}");
    }
}
