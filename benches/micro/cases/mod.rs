//! What is measured.

mod answers;
mod requests;

use aiproxy::wire::Framing;

use crate::streams;

/// Does all of a case's units of work once, and tells how much came out: bytes, texts, whatever shows that it worked.
pub(crate) type Run = Box<dyn FnMut() -> usize>;

/// One thing that is measured.
pub(crate) struct Case {
    /// Kind and name.
    pub(crate) name: String,
    /// Units of work in a run: what is told is the cost of one.
    pub(crate) units: u64,
    /// Runs in which instructions are counted.
    pub(crate) runs: u64,
    begin: Box<dyn Fn() -> Run>,
    yields: Box<dyn Fn() -> usize>,
}

impl Case {
    /// One whose runs have so many units; `yields` tells what has to come out of each.
    fn new(
        name: impl Into<String>,
        units: usize,
        yields: impl Fn() -> usize + 'static,
        begin: impl Fn() -> Run + 'static,
    ) -> Case {
        Case {
            name: name.into(),
            units: units as u64,
            runs: 40,
            begin: Box::new(begin),
            yields: Box::new(yields),
        }
    }

    /// With so many runs in which instructions are counted.
    fn runs(self, runs: u64) -> Case {
        Case { runs, ..self }
    }

    /// Sets it up.
    pub(crate) fn begin(&self) -> Run {
        (self.begin)()
    }

    /// Runs it a few times, and fails if it does not do what it is meant to do.
    pub(crate) fn check(&self) {
        let (mut run, yields) = (self.begin(), (self.yields)());
        assert!(yields > 0, "{}", self.name);
        for _ in 0..3 {
            assert_eq!(run(), yields, "{}", self.name);
        }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut all = vec![
        answers::framing("sse", streams::openai_chat()),
        answers::framing("ndjson", streams::ollama_chat()),
        answers::framing("json-array", streams::gemini(Framing::JsonArray)),
        answers::framing("eventstream", streams::converse()),
        answers::framing_batched("sse-batched", streams::openai_chat()),
        answers::framing_halved("sse-halved", streams::openai_chat()),
    ];
    all.extend(answers::decoders());
    all.extend(answers::encoders());
    all.extend(requests::all());
    all
}
