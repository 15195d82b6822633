//! `aiproxy mock`.

use crate::support::{Process, ProfileText, World};

#[test]
fn it_serves() {
    let world = World::new();
    let mut process = Process::start(world.aiproxy(["mock", "--listen", "127.0.0.1:0"]));
    process.until("its URL", |process| process.stdout().contains("/v1\n"));
    let said = process.stdout();
    let url = said.split_whitespace().last().unwrap();
    world.profile("m", &ProfileText::at(url).toml());
    let folder = world.profiles();
    for stream in [&[][..], &["--stream"]] {
        let mut args = vec![
            "chat",
            "--profile",
            "m",
            "--model",
            "mock-echo",
            "--profiles",
        ];
        args.push(folder.to_str().unwrap());
        args.extend(stream);
        args.push("over the network");
        let ended = world.run(args).exits(0);
        assert_eq!(ended.stdout, "over the network\n");
    }
    process.signal("TERM");
    process.end().exits(0);
}

#[test]
fn its_help_lists_the_models() {
    let ended = World::new().run(["mock", "--help"]).exits(0);
    for model in [
        "mock-echo",
        "mock-tools",
        "mock-error-429",
        "mock-cut",
        "mock-silent",
    ] {
        assert!(ended.stdout.contains(model), "{model}: {}", ended.stdout);
    }
}

#[test]
fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = World::new().run(["mock", "--listen", &address]).exits(1);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
}

#[test]
fn the_same_question_gets_the_same_answer() {
    let world = World::new();
    let ask = || {
        world
            .run(["chat", "--model", "mock-fast", "What is new?"])
            .exits(0)
            .stdout
    };
    assert_eq!(ask(), ask());
}
