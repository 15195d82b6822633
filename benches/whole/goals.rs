//! What aiproxy must reach, and by which figure.

use crate::scenario::{ADDED, CPU, IDLE, LATE, PEAK, START, Scenario};

/// One line of the table.
pub(crate) struct Goal {
    pub(crate) scenario: Scenario,
    pub(crate) figure: &'static str,
    pub(crate) against: Against,
    pub(crate) must: f64,
    pub(crate) aim: f64,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Against {
    /// A multiple of nginx's figure of the same name, in this scenario.
    Nginx(Scenario),
    /// So much more than nginx's.
    Above(Scenario),
    /// A multiple of aiproxy's own.
    Itself(Scenario),
    /// As it is.
    Nothing,
}

use Scenario::{A, B, C, D, E, F, G, H, Record, Tail};

/// nginx's D, where each chunk is a wake-up, a read and a write, is the yardstick per chunk of streams without pauses, too: how many chunks a read
/// of such a stream finds is luck, and nginx's cost depends on nothing else.
pub(crate) const GOALS: [Goal; 13] = [
    goal(A, CPU, Against::Nginx(A), 1.8, 1.3),
    goal(B, ADDED, Against::Nginx(B), 1.3, 1.0),
    goal(C, CPU, Against::Nginx(D), 0.30, 0.20),
    goal(D, CPU, Against::Nginx(D), 1.2, 1.0),
    goal(D, PEAK, Against::Nothing, 60.0, 40.0),
    goal(D, LATE, Against::Above(D), 5.0, 5.0),
    goal(E, IDLE, Against::Nothing, 20.0, 15.0),
    goal(E, START, Against::Nothing, 40.0, 20.0),
    goal(F, CPU, Against::Nginx(F), 2.2, 1.4),
    goal(G, CPU, Against::Nginx(D), 0.40, 0.28),
    goal(H, CPU, Against::Nginx(D), 0.40, 0.28),
    goal(Tail, CPU, Against::Itself(C), 1.5, 1.2),
    goal(Record, CPU, Against::Itself(C), 1.5, 1.2),
];

const fn goal(
    scenario: Scenario,
    figure: &'static str,
    against: Against,
    must: f64,
    aim: f64,
) -> Goal {
    Goal {
        scenario,
        figure,
        against,
        must,
        aim,
    }
}
