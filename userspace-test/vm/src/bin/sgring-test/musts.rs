// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which statements of the data sheet the device's tests prove: said in the
//! comment before each test function, found by the test's registration.

use std::collections::BTreeMap;
use std::path::Path;

/// The rule of each device test, by its name without the path before it. A
/// function registered under several names gives its rule to `FUNCTION-...`.
#[derive(Debug, Default)]
pub struct Musts {
    by_test: BTreeMap<String, String>,
    by_function: BTreeMap<String, String>,
}

impl Musts {
    /// Reads the sources of the device's tests.
    pub fn read(dir: &Path) -> Self {
        let mut musts = Self::default();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "c") {
                musts.source(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
        musts
    }

    fn source(&mut self, text: &str) {
        let mut comment = String::new();
        let mut open = false;
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("/*") {
                comment.clear();
                open = true;
            }
            if open {
                let words = line.trim_start_matches("/*").trim_end_matches("*/");
                comment.push_str(words.trim_start_matches('*').trim());
                comment.push(' ');
                open = !line.ends_with("*/");
            } else if let Some(name) = line
                .strip_prefix("static void test_")
                .and_then(|rest| rest.split('(').next())
            {
                if comment.contains("[D-") {
                    self.by_function
                        .insert(name.to_owned(), comment.trim().to_owned());
                }
                comment.clear();
            } else if let Some((test, function)) = registration(line) {
                if let Some(rule) = self.by_function.get(function) {
                    self.by_test.insert(test.to_owned(), rule.clone());
                }
            } else if !line.is_empty() {
                comment.clear();
            }
        }
    }

    /// The rule of a test.
    pub fn of(&self, test: &str) -> Option<&str> {
        let function = test.split('-').next().unwrap_or(test);
        self.by_test
            .get(test)
            .or_else(|| self.by_function.get(function))
            .map(String::as_str)
    }
}

/// Name and function of `qtest_add_func("/sgring/NAME", test_FUNCTION);`.
fn registration(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line
        .strip_prefix("qtest_add_func(\"/sgring/")?
        .split_once('"')?;
    let function = rest.trim_start_matches([',', ' ']).strip_prefix("test_")?;
    Some((name, function.split(')').next()?))
}

#[cfg(test)]
mod tests {
    use super::Musts;

    #[test]
    fn the_comment_before_a_test_is_its_rule() {
        let mut musts = Musts::default();
        musts.source(
            "/* [D-5]: what it says. */\nstatic void test_identity(void)\n{\n    /* [D-9] */\n    f();\n}\n\n\
             /*\n * [D-1] [D-2]: sizes\n * and alignments.\n */\nstatic void test_access(const void *p)\n{\n}\n\
             static void test_none(void)\n{\n}\n/* [D-30]: lateness. */\nstatic void test_rate(void)\n{}\n\
             void add(void)\n{\n    qtest_add_func(\"/sgring/identity\", test_identity);\n\
             qtest_add_func(\"/sgring/access-sizes\", test_access);\n\
             qtest_add_func(\"/sgring/none\", test_none);\n}\n",
        );
        assert_eq!(musts.of("identity"), Some("[D-5]: what it says."));
        assert_eq!(
            musts.of("access-sizes"),
            Some("[D-1] [D-2]: sizes and alignments.")
        );
        assert_eq!(musts.of("none"), None);
        assert_eq!(musts.of("rate-44100-441-0"), Some("[D-30]: lateness."));
    }
}
