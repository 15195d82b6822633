//! Records that come from a file.

use super::{estimate::Prompt, history::Kept, render, told::Detail};

impl Kept {
    /// A record as the history keeps it, with the beginnings of its texts.
    #[must_use]
    pub fn imported(mut detail: Detail) -> Kept {
        let asked = detail.body("client").unwrap_or_default();
        let mut answer = String::new();
        for part in &detail.rest.parts {
            if !answer.is_empty() {
                answer.push('\n');
            }
            answer.push_str(part.name.as_deref().unwrap_or_default());
            answer.push_str(&part.text);
        }
        detail.summary.prompt = render::last_asked(&asked);
        detail.summary.answer = render::excerpt(&answer);
        Kept {
            prompt: Prompt::of(&asked).text().to_owned(),
            answer,
            detail,
        }
    }
}
