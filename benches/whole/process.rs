//! What a process and its descendants have spent, from `/proc`.

use std::{fs, path::Path, thread, time::Duration};

/// Unit of the times in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// Whether this system shows processes as Linux does.
pub(crate) fn is_shown() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// A process and all its descendants.
pub(crate) struct Tree(pub(crate) u32);

impl Tree {
    /// It comes first.
    pub(crate) fn members(&self) -> Vec<u32> {
        let all: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, u32::try_from(*stat(pid)?.get(1)?).ok()?)))
            .collect();
        let mut members = vec![self.0];
        let mut at = 0;
        while let Some(parent) = members.get(at).copied() {
            members.extend(
                all.iter()
                    .filter(|(_, of)| *of == parent)
                    .map(|(pid, _)| *pid),
            );
            at += 1;
        }
        members
    }

    /// User and system time so far, of all threads, ended ones and waited-for children too.
    pub(crate) fn cpu(&self) -> Duration {
        self.members().into_iter().map(cpu).sum()
    }

    /// The user's part of it, in ticks.
    pub(crate) fn user(&self) -> i64 {
        let members = self.members().into_iter();
        members.map(|pid| sum(pid, &USER)).sum()
    }

    /// How often memory was touched that the kernel had to give it first.
    pub(crate) fn faults(&self) -> i64 {
        let members = self.members().into_iter();
        members.map(|pid| sum(pid, &FAULTS)).sum()
    }

    /// The same, once nothing is done any more: work that was put off until after the answer counts.
    pub(crate) fn settled_cpu(&self) -> Duration {
        let mut before = self.cpu();
        let mut quiet = 0;
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(100));
            let now = self.cpu();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if quiet == 2 {
                break;
            }
        }
        before
    }

    /// How often a thread of it gave up its processor to wait for something, so far: each is a wake-up to come.
    pub(crate) fn waits(&self) -> u64 {
        let tasks = |pid| {
            fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
        };
        self.members()
            .into_iter()
            .flat_map(tasks)
            .filter_map(|task| {
                let text = fs::read_to_string(task.path().join("status")).ok()?;
                line(&text, "voluntary_ctxt_switches:")
            })
            .sum::<f64>() as u64
    }

    /// Resident memory in MB (10^6 bytes), of each process added up: now, and the most there ever was.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for pid in self.members() {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            sums.0 += line(&text, "VmRSS:").unwrap_or_default() * 1024.0 / 1e6;
            sums.1 += line(&text, "VmHWM:").unwrap_or_default() * 1024.0 / 1e6;
        }
        sums
    }
}

/// A number of `/proc/PID/status`.
fn line(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    cpu(std::process::id())
}

fn cpu(pid: u32) -> Duration {
    let ticks = sum(pid, &USER) + sum(pid, &SYSTEM);
    TICK * u32::try_from(ticks).unwrap_or_default()
}

/// Where `/proc/PID/stat` has user time, system time and minor faults, as [`stat`] counts; of its own, and of waited-for children.
const USER: [usize; 2] = [11, 13];
const SYSTEM: [usize; 2] = [12, 14];
const FAULTS: [usize; 2] = [7, 8];

fn sum(pid: u32, fields: &[usize]) -> i64 {
    let all = stat(pid).unwrap_or_default();
    fields.iter().filter_map(|at| all.get(*at)).sum()
}

/// The numbers of `/proc/PID/stat` from the third field on (proc(5)); the state, a letter, is 0.
fn stat(pid: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(
        fields
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect(),
    )
}
