//! The two how-tos of Kong's documentation, their prompts and patterns word for word.

use crate::{
    Plugin, asking, plain,
    support::{Ask, Server, Upstream, completion, json_response},
};

/// <https://developer.konghq.com/how-to/transform-a-client-request-with-ai>.
#[tokio::test]
async fn a_country_beside_the_city() {
    let prompt = "In my JSON message, anywhere there is a JSON tag for a city, also add a country tag with the name of the country that city is in.";
    let llm = Upstream::playing(|mut call| async move {
        let asked = call.json();
        let message: serde_json::Value =
            serde_json::from_str(asked["messages"][1]["content"].as_str().unwrap()).unwrap();
        assert_eq!(message["user"]["city"], "London");
        // GPT-4 says more than it is asked to: that is what the pattern is for.
        let text = "Here is the JSON with the country added:\n\n```json\n{\n  \"user\": {\n    \"name\": \"Kong User\",\n    \"city\": \"London\",\n    \"country\": \"United Kingdom\"\n  }\n}\n```\nAnything else?";
        call.write(json_response(200, completion(text))).await;
        call.finish().await;
    })
    .await;
    let upstream = Upstream::playing(|mut call| async move {
        // As httpbin's `/anything` answers.
        assert!(call.target().ends_with("/base/anything"), "{}", call.head);
        let answer = serde_json::json!({"json": call.json()});
        call.write(json_response(200, answer.to_string())).await;
        call.finish().await;
    })
    .await;
    let (table, ..) = Plugin::Request.tables();
    let profile = asking(plain(&upstream), Plugin::Request, &llm)
        .line(table, format!("prompt = '{prompt}'"))
        .line(table, r"transformation_extract_pattern = '{((.|\n)*)}'");
    let server = Server::of(&profile);
    let body = r#"{"user":{"name":"Kong User","city":"London"}}"#;
    let ask = Ask::post("/up/anything", body).header("accept", "application/json");
    let reply = ask.whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let user =
        serde_json::json!({"city": "London", "country": "United Kingdom", "name": "Kong User"});
    let expected = serde_json::json!({"json": {"user": user}});
    assert_eq!(reply.json(), expected);

    was_asked(&llm, prompt, body);
}

/// <https://developer.konghq.com/how-to/transform-a-response-with-ai>.
#[tokio::test]
async fn header_status_and_body_of_a_response() {
    let prompt = r#"Add a new header named "new-header" with the value "header-value" to the response. Format the JSON response as follows:
{
  "headers":
    {
      "new-header": "header-value"
    },
  "status": 201,
  "body": "new response body"
}
"#;
    // The model does as it is told, and says that it did.
    let (_, form) = prompt.split_once(":\n").unwrap();
    let text = format!("Certainly! The response:\n\n```json\n{form}```\nAnything else?");
    let llm = Upstream::answering(json_response(200, completion(&text))).await;
    let body = r#"{"url":"http://httpbin.konghq.com/anything"}"#;
    let upstream = Upstream::answering(json_response(200, body)).await;
    let (table, ..) = Plugin::Response.tables();
    let profile = asking(plain(&upstream), Plugin::Response, &llm)
        .line(table, format!("prompt = '''\n{prompt}'''"))
        .line(table, r"transformation_extract_pattern = '{((.|\n)*)}'")
        .line(table, "parse_llm_response_json_instructions = true");
    let server = Server::of(&profile);
    let ask = Ask::get("/up/anything").header("accept", "application/json");
    let reply = ask.whole(&server).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.headers.get("new-header"), Some("header-value"));
    assert_eq!(reply.text(), "new response body");
    assert_eq!(
        reply.headers.get("content-type"),
        Some("text/plain; charset=utf-8")
    );
    was_asked(&llm, prompt, body);
}

/// The LLM was asked once, as the how-tos' `llm` says.
fn was_asked(llm: &Upstream, prompt: &str, shown: &str) {
    let [asked] = llm.seen().try_into().unwrap();
    let asked: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(asked["model"], "gpt-4");
    assert_eq!(
        asked["messages"],
        serde_json::json!([{"role": "system", "content": prompt}, {"role": "user", "content": shown}])
    );
}
