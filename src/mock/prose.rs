//! What the mock says: sentences put together by a seed, so that the same prompt gets the same answer.

use super::words::{Dice, tokens};

/// A pleasant text that fits the prompt and says what was understood. `attachments` tells of what came beside the text.
pub(super) fn answer(prompt: &str, attachments: Option<&str>, seed: u64) -> String {
    let mut dice = Dice(seed);
    let lower: String = prompt.chars().take(400).collect::<String>().to_lowercase();
    let has = |words: &[&str]| {
        lower
            .split(|char: char| !char.is_alphanumeric())
            .any(|word| words.contains(&word))
    };
    let mut text = match attachments {
        Some(attachments) => format!("I see {attachments}. "),
        None => String::new(),
    };
    if has(&["unicode", "emoji", "emojis"]) {
        text.push_str(&unicode(seed));
    } else if has(&["story", "stories", "tale", "tales", "fairytale"]) {
        text.push_str("You asked for a story, so here is a short one. ");
        text.push_str(&story(&mut dice));
    } else if prompt.trim().is_empty() {
        text.push_str("Your message holds no text, so there is little to answer. Ask me for a story, or for anything else.");
    } else if has(&["hello", "hi", "hey", "hallo", "moin"]) && lower.split_whitespace().count() < 6
    {
        text.push_str(dice.pick(&["Hello! ", "Hi there! ", "Good to hear from you! "]));
        text.push_str(
            "I am the mock model of aiproxy: I answer without a key and without a network, and the same question always gets the same \
             answer. Ask me for a story, for example.",
        );
    } else {
        text.push_str(&advice(prompt, &mut dice));
    }
    text
}

fn story(dice: &mut Dice) -> String {
    let (who, short) = [
        ("a lighthouse keeper", "the keeper"),
        ("a retired clockmaker", "the clockmaker"),
        ("a small grey fox", "the fox"),
        ("an apprentice baker", "the baker"),
        ("a travelling librarian", "the librarian"),
    ]
    .get(dice.below(5))
    .copied()
    .unwrap_or(("a traveller", "the traveller"));
    let when = dice.pick(&[
        "Once upon a time,",
        "Not very long ago,",
        "One quiet autumn,",
        "In a town between two rivers,",
    ]);
    let what = dice.pick(&[
        "a brass key",
        "a letter without a stamp",
        "a map drawn in chalk",
        "a lantern that never went out",
    ]);
    let place = dice.pick(&[
        "under the stairs",
        "behind the old harbour",
        "at the edge of the forest",
        "in a locked drawer",
    ]);
    let puzzle = dice.pick(&[
        "Nobody could say what it was for",
        "The neighbours argued about it for days",
        "Even the oldest owl had never seen its like",
    ]);
    let way = dice.pick(&[
        "followed the river until the stars came out",
        "walked three days into the hills",
        "asked every ship that came in",
    ]);
    let meeting = dice.pick(&[
        "a heron wanted one true answer",
        "a night watchman offered a trade",
        "a child was waiting with a lamp",
    ]);
    let end = dice.pick(&[
        "No treasure lay at the end of the way, but a door that led home",
        "What was lost had only been waiting for someone patient enough to look",
        "And from that day on, no light in the town was ever left to burn alone",
    ]);
    let coda = dice.pick(&[
        "They still tell it there on long evenings.",
        "If you listen closely, you can hear the rest.",
        "The tea, by then, was cold, and nobody minded.",
    ]);
    format!(
        "{when} {who} found {what} {place}. {puzzle}, so {short} {way}. There, {meeting}. {end}. {coda}"
    )
}

fn advice(prompt: &str, dice: &mut Dice) -> String {
    let verb = if prompt.trim_end().ends_with('?') {
        "You asked"
    } else {
        "You wrote"
    };
    let lead = dice.pick(&[
        "Here is how I would look at it.",
        "A short answer, then.",
        "Let me try.",
        "That is worth a moment of thought.",
    ]);
    let first = dice.pick(&[
        "Begin with the smallest version that works, and keep it running while you change it.",
        "Most of it depends on what you want to be true at the end, so write that down first.",
        "Two things matter here: what you know already, and what you can find out cheaply.",
        "There is a simple way and a thorough way, and the simple one is usually right.",
    ]);
    let second = dice.pick(&[
        "Measure before you judge, since the surprise is rarely where one looks.",
        "When something is unclear, an example says more than a rule.",
        "If two ways look equal, take the one that is easier to undo.",
        "Ask one person who will use it, and watch what they do rather than what they say.",
    ]);
    let last = dice.pick(&[
        "A real model would know more; I only promise to say the same thing every time.",
        "I am a mock, so take the tone from me and the facts from elsewhere.",
        "That is all a mock can tell you, but it tells you reliably.",
    ]);
    format!(
        "{verb}: \"{}\" {lead} {first} {second} {last}",
        excerpt(prompt, 12)
    )
}

/// A text in many scripts: two, three and four byte characters, combining marks, joined emoji, right to left.
pub(super) fn unicode(seed: u64) -> String {
    let lines = [
        "Grüße aus Köln, señor: naïve façade, cœur, Ørsted, Łódź.",
        "Καλημέρα κόσμε, доброе утро, բարի լույս.",
        "你好，世界。こんにちは、世界。안녕하세요, 세계.",
        "שלום עולם, مرحبا بالعالم, नमस्ते दुनिया, สวัสดีชาวโลก.",
        "Emoji: 🎉 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇺 ☕️, and mathematics: ∑ 𝒳 ≤ ∞.",
        "Combining: e\u{301} n\u{303} a\u{30a}, zero width: a\u{200b}b\u{200d}c, quotes: “so” ‘so’ «so».",
    ];
    // Turned by the seed: another seed, another text, and nothing is left out.
    let turn = Dice(seed).below(lines.len());
    lines
        .iter()
        .cycle()
        .skip(turn)
        .take(lines.len())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Reasoning about a prompt, so many steps of it.
pub(super) fn reasoning(prompt: &str, steps: usize, seed: u64) -> String {
    let mut text = format!("The user says: \"{}\"", excerpt(prompt, 8));
    let thoughts = [
        " I should find out what kind of answer is wanted.",
        " A short one will do, as long as it is friendly.",
        " Nothing here needs a tool, nor anything that I do not know.",
        " Let me check that once more: yes, that is right.",
        " I will say what I understood, then answer.",
    ];
    let turn = Dice(seed).below(thoughts.len());
    text.extend(thoughts.iter().cycle().skip(turn).take(steps).copied());
    text
}

/// The answer to tool results: a text that quotes them.
pub(super) fn after_tools<'a>(results: impl Iterator<Item = &'a str>, seed: u64) -> String {
    let mut text = Dice(seed)
        .pick(&[
            "The tools are back. ",
            "Here is what came of it. ",
            "Thank you, that helps. ",
        ])
        .to_owned();
    for (index, result) in results.enumerate() {
        text.push_str(if index == 0 {
            "The result is: "
        } else {
            " And: "
        });
        text.push_str(result);
    }
    text
}

/// The first words of a text on one line.
pub(super) fn excerpt(text: &str, words: usize) -> String {
    let mut all = tokens(text.trim()).take(words * 4);
    let line = all
        .by_ref()
        .take(words)
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if all.next().is_some() {
        line + "..."
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_told() {
        for seed in 0..200 {
            let text = answer("Tell me a story", None, seed);
            let words = text.split_whitespace().count();
            assert!((40..=84).contains(&words), "{words} words: {text}");
            assert!(text.starts_with("You asked for a story"), "{text}");
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(
            answer("Tell me a story", None, 3),
            answer("Tell me a story", None, 3)
        );
        let all: std::collections::HashSet<String> = (0..50)
            .map(|seed| answer("Tell me a story", None, seed))
            .collect();
        assert!(all.len() > 40, "{}", all.len());
    }

    #[test]
    fn the_answer_says_what_was_understood() {
        assert!(
            answer("How do\n I tune SQLite?", None, 1)
                .starts_with("You asked: \"How do I tune SQLite?\" ")
        );
        assert!(answer("Write it down", None, 1).starts_with("You wrote: \"Write it down\" "));
        assert!(answer("Hi", None, 1).contains("mock"));
        assert!(answer("  ", None, 1).contains("no text"));
        assert!(answer("what is it?", Some("1 image"), 1).starts_with("I see 1 image. You asked"));
        assert!(answer("Some emoji please", None, 1).contains('🎉'));
    }

    #[test]
    fn excerpts_are_short() {
        assert_eq!(excerpt("a b c d", 2), "a b...");
        assert_eq!(excerpt("a b", 2), "a b");
        assert_eq!(excerpt("", 2), "");
    }
}
