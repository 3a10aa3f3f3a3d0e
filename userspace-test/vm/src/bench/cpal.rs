// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts that play through cpal: our host beside cpal's own, in one guest.

use super::{Expected, Extent, Label, Part, list, seen};
use crate::config::Card;

const HOSTS: [&str; 2] = ["ring", "alsa"];
/// How long one callback takes in the streams that are stalled, ms.
const STALL: &str = "50";

/// The series about a stream's fate.
const FATE: [&str; 8] = [
    "cpal.callback_at",
    "cpal.xruns",
    "cpal.starts",
    "cpal.prepares",
    "cpal.silence",
    "cpal.lost",
    "cpal.stale",
    "cpal.stood_still",
];

fn streams(periods: &[usize]) -> impl Iterator<Item = Vec<Label>> {
    periods.iter().flat_map(|period| {
        HOSTS.map(|host| vec![("host", host.to_owned()), ("period", period.to_string())])
    })
}

fn with(labels: &[Label], name: &'static str, value: &str) -> Vec<Label> {
    [labels, &[(name, value.to_owned())]].concat()
}

impl Part {
    /// What it takes to play through cpal, and what a stall does.
    #[must_use]
    pub fn cpal(extent: &Extent) -> Self {
        let mut expected = Vec::new();
        for period in &extent.cpal_periods {
            let labels = vec![("period", period.to_string())];
            expected.push(Expected("timer.instructions", labels));
        }
        for labels in streams(&extent.cpal_periods) {
            expected.push(Expected("cpal.instructions", labels.clone()));
            expected.push(Expected("cpal.calls", with(&labels, "call", "all")));
            expected.push(Expected("cpal.copied", labels.clone()));
            for stall in ["0", STALL] {
                let labels = with(&labels, "stall_ms", stall);
                expected.extend(FATE.map(|name| Expected(name, labels.clone())));
                expected.push(Expected("cpal.gap", labels));
            }
            for frame in ["first", "last"] {
                let labels = with(&labels, "frame", frame);
                expected.push(Expected("cpal.callback_to_tap", labels));
            }
            expected.push(Expected("cpal.period_to_callback", labels));
        }
        let mut traces = Vec::from(seen::EVENTS);
        traces.push(seen::BURSTS);
        Self {
            about: "playing through cpal: our host beside its own",
            name: "cpal",
            card: Card::Sgring,
            program: "cpal_cost",
            words: vec![
                format!("hosts={}", list(&HOSTS)),
                format!("periods={}", list(&extent.cpal_periods)),
                format!("rounds={}", extent.cpal_rounds),
                format!("stall_ms={STALL}"),
                "measure=instructions,calls,times,stall".into(),
            ],
            modparam: None,
            traces,
            seen: Some(seen::series),
            rounds: None,
            expected,
        }
    }

    /// Small rings through cpal, for long.
    #[must_use]
    pub fn endurance(extent: &Extent) -> Self {
        let expected = streams(&extent.endured)
            .flat_map(|labels| FATE.map(|name| Expected(name, labels.clone())))
            .collect();
        Self {
            about: "small rings through cpal, for long",
            name: "endurance",
            card: Card::Sgring,
            program: "cpal_cost",
            words: vec![
                format!("hosts={}", list(&HOSTS)),
                format!("periods={}", list(&extent.endured)),
                format!("seconds={}", extent.endurance),
                "measure=endurance".into(),
            ],
            modparam: None,
            traces: Vec::from(seen::EVENTS),
            seen: Some(seen::series),
            rounds: None,
            expected,
        }
    }
}
