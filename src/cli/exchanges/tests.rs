use super::*;

/// A database in memory.
struct Shelf(Vec<Summary>);

impl Recorded for Shelf {
    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Problem> {
        let taken = self.0.iter().filter(|summary| filter.takes(summary));
        Ok(taken.cloned().collect())
    }

    fn find(&self, name: &str) -> Result<Vec<String>, Problem> {
        let ids = self.0.iter().map(|summary| summary.id.clone());
        Ok(match name {
            LAST => ids.take(1).collect(),
            name => ids.filter(|id| id.starts_with(name)).collect(),
        })
    }

    fn get(&self, id: &str) -> Result<Option<Detail>, Problem> {
        let found = self.0.iter().find(|summary| summary.id == id);
        Ok(found.map(|summary| Detail {
            summary: summary.clone(),
            ..Detail::default()
        }))
    }

    fn prune(&mut self) -> Result<u64, Problem> {
        Err(Problem::new("the database is locked"))
    }
}

fn summary(id: &str, began: &str) -> Summary {
    Summary {
        id: id.into(),
        began: format!("2026-11-22T08:00:0{began}.000Z"),
        ..Summary::default()
    }
}

fn shelf() -> Exchanges {
    Exchanges {
        server: None,
        recorded: Some(Box::new(Shelf(vec![
            summary("bbbbbbbbbb", "3"),
            summary("abbbbbbbbb", "2"),
            summary("aaaaaaaaaa", "1"),
        ]))),
    }
}

async fn name(shelf: &Exchanges, name: &str) -> Result<String, String> {
    let got = shelf.get(name).await;
    got.map(|detail| detail.summary.id)
        .map_err(|problem| problem.to_string())
}

#[tokio::test]
async fn exchanges_are_found_by_what_is_unique() {
    let shelf = shelf();
    for (asked, expected) in [
        ("last", "bbbbbbbbbb"),
        ("b", "bbbbbbbbbb"),
        ("AB", "abbbbbbbbb"),
        ("aaaaaaaaaa", "aaaaaaaaaa"),
    ] {
        assert_eq!(name(&shelf, asked).await.as_deref(), Ok(expected));
    }
    for (asked, expected) in [
        (
            "a",
            "several exchanges begin with `a`: aaaaaaaaaa, abbbbbbbbb",
        ),
        ("c", "there is no exchange `c` in the database"),
        ("a/b", "`a/b` is no id of an exchange"),
        ("hello", "`hello` is no id of an exchange"),
    ] {
        assert_eq!(name(&shelf, asked).await, Err(expected.to_owned()));
    }
    let empty = Exchanges {
        server: None,
        recorded: Some(Box::new(Shelf(Vec::new()))),
    };
    assert_eq!(
        name(&empty, "last").await,
        Err("there is no exchange yet in the database".to_owned())
    );
}

#[test]
fn each_is_there_once_and_the_newest_first() {
    let mut live = summary("aaaaaaaaaa", "5");
    live.outcome = "live".into();
    let all = vec![
        live,
        summary("cccccccccc", "4"),
        summary("bbbbbbbbbb", "6"),
        summary("aaaaaaaaaa", "5"),
    ];
    let ids = |limit| -> Vec<String> {
        let merged = merged(all.clone(), limit);
        merged
            .into_iter()
            .map(|summary| format!("{} {}", summary.id, summary.outcome))
            .collect()
    };
    assert_eq!(ids(9), ["bbbbbbbbbb ", "aaaaaaaaaa live", "cccccccccc "]);
    assert_eq!(ids(1), ["bbbbbbbbbb "]);
}
