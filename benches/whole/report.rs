//! What is printed: Markdown for people and the README, or JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    goals::{Against, GOALS, Goal},
    proxies::Kind,
    scenario::{
        ADDED, CPU, FAULTS, IDLE, LATE, OWN, P50, P99, PEAK, RATE, SHARE, START, Sample, Scenario,
        USER, WAITS,
    },
};

/// All that was measured.
pub(crate) struct Report {
    /// Of the machine and the programs, a line each.
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) kinds: Vec<Kind>,
    /// The round, the scenario, the proxy's name.
    pub(crate) samples: Vec<(usize, Scenario, String, Sample)>,
    pub(crate) rounds: usize,
}

impl Report {
    fn sample(&self, round: usize, scenario: Scenario, name: &str) -> Option<&Sample> {
        self.samples
            .iter()
            .find(|(at, of, by, _)| *at == round && *of == scenario && by == name)
            .map(|(.., sample)| sample)
    }

    fn figure(&self, round: usize, scenario: Scenario, name: &str, figure: &str) -> Option<f64> {
        let sample = self.sample(round, scenario, name)?;
        sample.figures.get(figure).copied()
    }

    /// A figure of all rounds.
    fn figures(&self, scenario: Scenario, name: &str, figure: &str) -> Vec<f64> {
        (0..self.rounds)
            .filter_map(|round| self.figure(round, scenario, name, figure))
            .collect()
    }

    fn errors(&self, scenario: Scenario, name: &str) -> u64 {
        self.samples
            .iter()
            .filter(|(_, of, by, _)| *of == scenario && by == name)
            .map(|(.., sample)| sample.errors)
            .sum()
    }

    pub(crate) fn failed(&self) -> bool {
        self.samples.iter().any(|(.., sample)| sample.errors > 0)
    }

    /// What the goal is about, of each round, as far as it was measured.
    fn results(&self, goal: &Goal, name: &str) -> Vec<f64> {
        (0..self.rounds)
            .filter_map(|round| {
                let own = self.figure(round, goal.scenario, name, goal.figure)?;
                let other = |scenario, name| self.figure(round, scenario, name, goal.figure);
                Some(match goal.against {
                    Against::Nginx(scenario) => own / other(scenario, "nginx")?,
                    Against::Above(scenario) => own - other(scenario, "nginx")?,
                    Against::Itself(scenario) => own / other(scenario, name)?,
                    Against::Nothing => own,
                })
            })
            .collect()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.about {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for kind in &self.kinds {
            if matches!(kind, Kind::Aiproxy(..) | Kind::Peer(..)) {
                self.goals(&mut text, kind.name());
            }
        }
        self.wall(&mut text);
        for (round, scenario, name, sample) in &self.samples {
            if let Some(error) = &sample.error {
                let _ = writeln!(
                    text,
                    "\nFAILED: {name} in {}, round {}: {} errors, the first: {error}",
                    scenario.name(),
                    round + 1,
                    sample.errors
                );
            }
        }
        text
    }

    fn goals(&self, text: &mut String, name: &str) {
        let _ = writeln!(
            text,
            "\n| | what | figure | nginx | {name} | held against | each round | median | spread | must | aim | |\n\
             | --- | --- | --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | --- |"
        );
        for goal in &GOALS {
            let own = self.figures(goal.scenario, name, goal.figure);
            if own.is_empty() {
                continue;
            }
            let results = self.results(goal, name);
            let (against, theirs) = match goal.against {
                Against::Nginx(scenario) => (format!("× nginx's {}", scenario.name()), scenario),
                Against::Above(scenario) => (format!("− nginx's {}", scenario.name()), scenario),
                Against::Itself(scenario) => (format!("× its {}", scenario.name()), goal.scenario),
                Against::Nothing => ("itself".to_owned(), goal.scenario),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {against} | {} | {} | {} | {} | {} | {} |",
                goal.scenario.name(),
                goal.scenario.about(),
                called(goal.figure, goal.scenario),
                short(median(&self.figures(theirs, "nginx", goal.figure))),
                short(median(&own)),
                joined(&results),
                short(median(&results)),
                spread(&results),
                short(Some(goal.must)),
                short(Some(goal.aim)),
                self.verdict(goal, name, median(&results)),
            );
        }
    }

    fn verdict(&self, goal: &Goal, name: &str, result: Option<f64>) -> &'static str {
        match result {
            _ if self.errors(goal.scenario, name) > 0 => "**FAILED**",
            None => "",
            Some(result) if result <= goal.aim => "aim",
            Some(result) if result <= goal.must => "must",
            Some(_) => "**behind**",
        }
    }

    fn wall(&self, text: &mut String) {
        let columns = [
            CPU, USER, WAITS, FAULTS, RATE, P50, P99, LATE, PEAK, OWN, SHARE,
        ];
        let _ = writeln!(
            text,
            "\nMedians. `user` is the part of CPU time outside the kernel, a wait is a thread of the proxy going to sleep, a fault a page of memory that the \
             kernel had to give it; `harness` is the benchmark's own CPU time, and its part of the time of both.\n\n\
             | | by | CPU µs/unit | user | waits/unit | faults/unit | units/s | p50 ms | p99 ms | late p99 ms | peak MB | harness µs/unit | harness | errors |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        );
        for scenario in Scenario::ALL {
            for name in self.kinds.iter().map(Kind::name) {
                if self.sample(0, scenario, name).is_none() {
                    continue;
                }
                let _ = write!(text, "| {} | {name} ", scenario.name());
                for figure in columns {
                    let value = median(&self.figures(scenario, name, figure));
                    let shown = match (figure, value) {
                        (USER | SHARE, Some(part)) => format!("{:.0} %", part * 100.0),
                        _ => short(value),
                    };
                    let _ = write!(text, "| {shown} ");
                }
                let _ = writeln!(text, "| {} |", self.errors(scenario, name));
            }
        }
    }

    pub(crate) fn json(&self) -> Value {
        let about: serde_json::Map<String, Value> = self
            .about
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|(round, scenario, name, sample)| {
                json!({
                    "round": round + 1, "scenario": scenario.name(), "by": name, "unit": scenario.unit(), "figures": sample.figures,
                    "errors": sample.errors, "error": sample.error,
                })
            })
            .collect();
        let proxies = self.kinds.iter().map(Kind::name);
        let goals: Vec<Value> = proxies
            .filter(|name| !matches!(*name, "direct" | "nginx"))
            .flat_map(|name| GOALS.iter().map(move |goal| (name, goal)))
            .filter(|(name, goal)| {
                let own = self.figures(goal.scenario, name, goal.figure);
                !own.is_empty()
            })
            .map(|(name, goal)| {
                let results = self.results(goal, name);
                json!({
                    "scenario": goal.scenario.name(), "figure": goal.figure, "by": name, "rounds": results, "median": median(&results),
                    "must": goal.must, "aim": goal.aim,
                })
            })
            .collect();
        json!({"about": about, "goals": goals, "samples": samples})
    }
}

fn called(figure: &str, scenario: Scenario) -> String {
    match figure {
        CPU => format!("CPU µs/{}", scenario.unit()),
        ADDED => "added to p50, ms".to_owned(),
        LATE => "p99 lateness, ms".to_owned(),
        PEAK => "memory, MB".to_owned(),
        IDLE => "idle memory, MB".to_owned(),
        START => "start to first answer, ms".to_owned(),
        _ => figure.to_owned(),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn joined(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| short(Some(*value))).collect();
    values.join(" ")
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().reduce(f64::min);
    let high = values.iter().copied().reduce(f64::max);
    match (low, high) {
        (Some(_), Some(_)) => format!("{}–{}", short(low), short(high)),
        _ => String::new(),
    }
}

/// Three digits that matter.
pub(crate) fn short(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
