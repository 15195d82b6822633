use crate::{
    asking, exchange, get, streaming,
    support::{
        Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, completion, delta, json_response,
        role, stop, usage,
    },
};

#[tokio::test]
async fn a_stream_is_kept_stage_by_stage() {
    let events = [
        role(),
        delta("Hel"),
        delta("lo"),
        stop(),
        usage(7, 2),
        DONE.into(),
    ];
    let stream = events.concat();
    let sent = stream.clone();
    let upstream = Upstream::playing(move |mut call| {
        let sent = sent.clone();
        async move {
            call.write(STREAM_HEAD).await;
            call.write(sent).await;
        }
    })
    .await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.model.options", "temperature = 0.5")
        .line("ai-proxy.model.options", "input_cost = 1.0")
        .line("ai-proxy.model.options", "output_cost = 10.0")
        .line("aiproxy", "ask_usage = \"always\"")
        .key("Authorization", "Bearer sk-0123456789");
    let server = Server::of(&profile);
    let reply = streaming("Say hello").whole(&server).await;
    let id = reply.headers.get("x-aiproxy-exchange").unwrap().to_owned();
    let told = exchange(&server, &id).await;
    assert_eq!(told["outcome"], "ok");
    assert_eq!(
        (&told["prompt"], &told["answer"]),
        (&"Say hello".into(), &"Hello".into())
    );
    assert_eq!(told["usage"]["prompt_tokens"], 7);
    assert_eq!(told["cost"], 27e-6);
    assert_eq!(told["cost_source"], "profile");
    let stages = told["stages"].as_array().unwrap();
    let names: Vec<_> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["client", "sent", "received", "returned"]);
    assert_eq!(stages[1]["body"]["temperature"], 0.5);
    assert_eq!(stages[1]["headers"]["authorization"], "(secret)");
    assert_eq!(stages[2]["body"], stream.as_str());
    // The client did not ask for the usage: the record shows what it got.
    assert_eq!(stages[3]["body"].as_str().unwrap().as_bytes(), reply.body);
    assert_ne!(stages[2]["body"], stages[3]["body"]);
    assert_eq!(told["parts"][0]["text"], "Hello");
    let times = told["timings"].as_object().unwrap();
    for key in [
        "sent_ms",
        "connect_ms",
        "first_byte_ms",
        "first_token_ms",
        "total_ms",
    ] {
        assert!(times[key].as_f64().is_some_and(|ms| ms >= 0.0), "{key}");
    }
    // A prefix will do, and `last`.
    assert_eq!(exchange(&server, &id[..5]).await["id"], id.as_str());
    assert_eq!(exchange(&server, "last").await["id"], id.as_str());
}

#[tokio::test]
async fn what_the_client_got_of_a_broken_stream_is_kept() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        call.write([role(), delta("half")].concat()).await;
        call.write("data: {\"id\":\"c1\",\"obj").await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = streaming("x").whole(&server).await;
    let told = exchange(&server, "last").await;
    assert_eq!(
        (&told["outcome"], &told["failed_at"]),
        (&"failed".into(), &"received".into())
    );
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("closed the stream")
    );
    let returned = told["stages"][3]["body"].as_str().unwrap();
    assert_eq!(returned.as_bytes(), reply.body);
    assert!(
        told["stages"][2]["body"]
            .as_str()
            .unwrap()
            .ends_with("\"obj")
    );
}

#[tokio::test]
async fn a_translated_stream_is_kept_in_both_formats() {
    let server = Server::setup().built_in("mock").start();
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":5}"#;
    let mut ask = Ask::post("/mock/v1/chat/completions", body);
    ask = ask.header("x-note", "kept");
    let reply = ask.whole(&server).await;
    let told = exchange(&server, "last").await;
    assert_eq!(told["stages"][0]["headers"]["x-note"], "kept");
    assert_eq!(
        told["stages"][3]["body"].as_str().unwrap().as_bytes(),
        reply.body
    );
}

#[tokio::test]
async fn failures_name_their_stage() {
    let upstream = Upstream::playing(|mut call| async move {
        if call.text().contains("broken") {
            call.write(json_response(200, "no answer")).await;
        } else {
            let body = r#"{"error":{"message":"slow down","type":"rate_limit"}}"#;
            call.write(json_response(429, body)).await;
        }
    })
    .await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("up", &profile)
        .profile("nobody", &ProfileText::at("http://127.0.0.1:9/v1"))
        .profile(
            "keyless",
            &profile
                .clone()
                .key("Authorization", "{vault://env/no-such-key-anywhere}"),
        )
        .start();
    for (ask, stage, status) in [
        (Ask::chat("{"), "client", 400),
        (asking("quick"), "received", 429),
        (asking("broken"), "received", 500),
        (
            Ask::post(
                "/nobody/v1/chat/completions",
                r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
            ),
            "received",
            502,
        ),
        (
            Ask::post(
                "/keyless/v1/chat/completions",
                r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
            ),
            "sent",
            500,
        ),
    ] {
        let reply = ask.whole(&server).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        let told = exchange(&server, "last").await;
        assert_eq!(told["outcome"], "failed");
        assert_eq!(told["failed_at"], stage, "{told}");
        assert_eq!(told["status"], status);
        let stages = told["stages"].as_array().unwrap();
        assert_eq!(stages.last().unwrap()["stage"], "returned");
    }
    let list = get(&server, "/_aiproxy/exchanges?failed=1&profile=up").await;
    assert_eq!(list["exchanges"].as_array().unwrap().len(), 3);
    let metrics = Ask::get("/_aiproxy/metrics").whole(&server).await.text();
    for line in [
        r#"aiproxy_errors_total{profile="up",kind="rate_limited"} 1"#,
        r#"aiproxy_errors_total{profile="nobody",kind="connect"} 1"#,
        r#"aiproxy_errors_total{profile="keyless",kind="configuration"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn pages_filters_and_wrong_questions() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for number in 0..5 {
        asking(&format!("question {number}")).whole(&server).await;
    }
    let page = get(&server, "/_aiproxy/exchanges?limit=3").await;
    assert_eq!(page["exchanges"][0]["prompt"], "question 4");
    let next = page["next"].as_str().unwrap();
    let rest = get(
        &server,
        &format!("/_aiproxy/exchanges?limit=3&before={next}"),
    )
    .await;
    assert_eq!(rest["exchanges"].as_array().unwrap().len(), 2);
    assert!(rest["next"].is_null());
    let found = get(&server, "/_aiproxy/exchanges?grep=QUESTION+3").await;
    assert_eq!(found["exchanges"].as_array().unwrap().len(), 1);
    for (path, status) in [
        ("/_aiproxy/exchanges?colour=red", 400),
        ("/_aiproxy/exchanges/nothere000", 404),
        ("/_aiproxy/exchanges/a/b", 404),
        ("/_aiproxy/events?limit=x", 400),
    ] {
        let reply = Ask::get(path).whole(&server).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.text().contains("\"message\""));
    }
    assert_eq!(
        Ask::post("/_aiproxy/exchanges", "{}")
            .whole(&server)
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn a_live_exchange_can_be_read() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        call.write([role(), delta("so far")].concat()).await;
        std::future::pending::<()>().await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut reply = streaming("x").reply(&server).await;
    reply.until("so far").await;
    let list = get(&server, "/_aiproxy/exchanges").await;
    assert_eq!(list["exchanges"][0]["outcome"], "live");
    let id = list["exchanges"][0]["id"].as_str().unwrap().to_owned();
    let told = exchange(&server, &id).await;
    assert_eq!(told["parts"][0]["text"], "so far");
    drop(reply);
    crate::support::soon("the end of the exchange", async {
        while exchange(&server, &id).await["outcome"] != "cancelled" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_unread_body_is_kept_as_it_went_by() {
    let upstream = Upstream::playing(|mut call| async move {
        let body = call.text();
        call.write(crate::support::response(
            200,
            &[("content-type", "text/plain")],
            body,
        ))
        .await;
    })
    .await;
    let profile =
        ProfileText::default().line("upstream", format!("url = \"http://{}\"", upstream.address));
    let server = Server::of(&profile);
    let reply = Ask::new("PUT", "/up/files/a?x=1&key=abc")
        .body("plain text")
        .whole(&server)
        .await;
    assert_eq!(reply.text(), "plain text");
    let told = exchange(&server, "last").await;
    assert_eq!(told["stages"][0]["body"], "plain text");
    assert_eq!(told["stages"][0]["url"], "/files/a?x=1&key=(secret)");
    assert_eq!(told["stages"][1]["same_as"], "client");
    assert_eq!(told["stages"][2]["body"], "plain text");
    assert_eq!(told["stages"][3]["same_as"], "received");
}
