use crate::{
    asking,
    browser::Browser,
    exchange, streaming,
    support::{
        Ask, DONE, Process, ProfileText, STREAM_HEAD, Server, Upstream, completion, delta,
        json_response, role, stop, usage,
    },
};

#[tokio::test]
async fn the_list_follows_a_stream() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    browser.page(&server, "").await;
    browser.shows("#found", "0 exchanges").await;

    let client = streaming("Count to two").send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}{}", role(), delta("one ")))
        .await;
    browser.shows(".row.is-live .c-text", "one").await;
    browser.shows(".row.is-live .c-text", "Count to two").await;
    browser.shows(".row.is-live .c-model", "m1").await;
    browser.shows("#found", "1 exchange").await;
    // Opened while it streams: what was said already is there, and goes on.
    browser.click(".row.is-live").await;
    browser.shows("#answer", "one").await;
    call.write(delta("two ")).await;
    browser.shows("#answer", "one two").await;
    browser.press("\u{e00c}").await;
    browser.shows(".row.is-live .c-text", "one two").await;

    call.write(format!("{}{}{DONE}", stop(), usage(12, 34)))
        .await;
    call.finish().await;
    client.reply().await.clean().await;
    browser.shows(".row.is-ok .c-status", "200").await;
    browser.shows(".row.is-ok .c-tokens", "12+34").await;
    browser
        .shows(".row.is-ok .c-text", "Count to two → one two")
        .await;
    let live = browser
        .run("return document.querySelectorAll('.row.is-live').length")
        .await;
    assert_eq!(live, 0);
}

#[tokio::test]
async fn what_is_looked_for_is_found() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(
        200,
        completion("A heron stood in the reeds."),
    ))
    .await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .built_in("mock")
        .start();
    let bird = exchange(&server, asking("Which bird?")).await;
    // Further in than the list's beginnings of texts.
    let long = format!("{} the word is quokka", "filler ".repeat(2000));
    let deep = exchange(&server, asking(&long)).await;
    let mock = Ask::post(
        "/mock/v1/chat/completions",
        r#"{"model":"mock","messages":[{"role":"user","content":"Hello"}]}"#,
    );
    let hello = exchange(&server, mock).await;
    let wrong = exchange(&server, Ask::chat("{")).await;

    browser.page(&server, "").await;
    browser.shows("#found", "4 exchanges").await;
    let ids = "return [...document.querySelectorAll('.row[data-id]')].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((row) => row.dataset.id).join(' ')";
    assert_eq!(
        browser.run(ids).await,
        format!("{wrong} {hello} {deep} {bird}"),
        "the youngest first"
    );
    browser.press("/").await;
    browser.press("QUOKKA").await;
    browser.shows("#found", "1 of 4").await;
    assert_eq!(browser.run(ids).await, deep);
    browser.types("#search", "heron").await;
    browser.shows("#found", "2 of 4").await;
    browser.types("#search", "nothing of the kind").await;
    browser.shows(".empty", "Nothing matches.").await;

    // Each choice is a link.
    browser.page(&server, "#/?profile=mock").await;
    browser.shows("#found", "1 of 4").await;
    assert_eq!(browser.run(ids).await, hello);
    browser.page(&server, "#/?outcome=failed").await;
    browser.shows("#found", "1 of 4").await;
    assert_eq!(browser.run(ids).await, wrong);
    browser.press("f").await;
    browser.shows("#found", "4 exchanges").await;
    let link = browser.run("return location.hash").await;
    assert_eq!(link, "#/");
}

#[tokio::test]
async fn it_comes_back_after_a_restart() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let upstream = Upstream::answering(json_response(200, completion("Here I am."))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let before = exchange(&server, asking("before")).await;
    browser.page(&server, "").await;
    browser.shows(".row .c-id", &before).await;

    let Server {
        process,
        address,
        world,
    } = server;
    process.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    browser.shows("#link", "connection lost").await;
    // What was there can still be read.
    browser.shows(".row .c-id", &before).await;

    let mut command = world.aiproxy(["serve", "--profile", "up", "--profiles"]);
    command.arg(world.profiles());
    command.args(["--listen", &address.to_string()]);
    let mut process = Process::start(command);
    process.until("it listens again", |process| {
        process.stdout().contains("listening on")
    });
    let server = Server {
        process,
        address,
        world,
    };
    browser.shows("#link", "live").await;
    // That server knows nothing of what was.
    browser.shows("#found", "0 exchanges").await;
    let after = exchange(&server, asking("after")).await;
    browser.shows(".row .c-id", &after).await;
    browser.shows(".row.is-ok .c-text", "Here I am.").await;
}

/// A browser gives an address six connections: pages that nobody looks at any more must not keep them.
#[tokio::test]
async fn pages_left_behind_keep_no_connection() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let server = Server::setup().built_in("mock").start();
    for _ in 0..8 {
        browser.page(&server, "").await;
        browser.shows("#found", "0 exchanges").await;
    }
    // The way back leads to a page that listens.
    browser.run("history.go(-2)").await;
    browser.shows("#link", "live").await;
    let mock = r#"{"model":"mock","messages":[{"role":"user","content":"Hello"}]}"#;
    let id = exchange(&server, Ask::post("/mock/v1/chat/completions", mock)).await;
    browser.shows(".row .c-id", &id).await;
}
