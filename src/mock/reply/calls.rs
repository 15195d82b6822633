//! Which tools are called, and with what.
//!
//! Coding agents offer dozens of tools, and the first may start another agent. So a tool that runs commands goes before the others, with a
//! command that does no harm; and a line of the prompt like `` Read: `notes.txt` `` says which tool is meant, and its argument.

use serde_json::{Map, Value};

use super::prompt::{answers_tools, asked};
use crate::{
    llm::{ChatRequest, Part, Tool, ToolChoice},
    mock::{
        fault::{self, Refusal},
        model::{Behaviour, Calls, Speech},
        prose, schema,
    },
};

/// The tools that are called; `None`: the answer is a text.
pub(super) fn chosen(
    request: &ChatRequest,
    behaviour: Behaviour,
) -> Result<Option<Vec<&Tool>>, Refusal> {
    let refuse = |message: String| Err(fault::at("tool_choice", fault::refuse(400, message)));
    let own = match behaviour.speech {
        Speech::Tools(calls) if !answers_tools(request) => Some(calls),
        _ => None,
    };
    let own = match request.tool_choice.as_ref() {
        None | Some(ToolChoice::Auto) => own,
        Some(_) if request.tools.is_empty() => {
            return refuse("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.".into());
        }
        Some(ToolChoice::None) => None,
        Some(ToolChoice::Required) => Some(own.unwrap_or(Calls::One)),
        Some(ToolChoice::Named(name)) => {
            return match request.tools.iter().find(|tool| tool.name == *name) {
                Some(tool) => Ok(Some(vec![tool])),
                None => refuse(format!(
                    "Tool choice '{}' not found in 'tools' parameter.",
                    prose::excerpt(name, 8)
                )),
            };
        }
    };
    let Some((first, calls)) = preferred(request).zip(own) else {
        return Ok(None);
    };
    let mut others = request.tools.iter().filter(|tool| tool.name != first.name);
    let second = others.next().unwrap_or(first);
    let two = calls == Calls::Two && request.parallel_tool_calls != Some(false);
    Ok(Some(if two {
        vec![first, second]
    } else {
        vec![first]
    }))
}

/// The names of properties that hold a command, as those who write tools call them.
const COMMANDS: &[&str] = &["command", "cmd"];

/// The tool that is called before others.
fn preferred(request: &ChatRequest) -> Option<&Tool> {
    let prompt = asked(request);
    let named = instruction(&prompt).and_then(|(before, _)| {
        let apart = |c: char| !(c.is_alphanumeric() || "_-.".contains(c));
        let mut words = before.split(apart).filter(|word| !word.is_empty());
        words.find_map(|word| {
            let is_it = |tool: &&Tool| {
                let rest = tool.name.strip_suffix(word);
                // The whole name, or what follows a namespace's.
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("__"))
            };
            request.tools.iter().find(is_it)
        })
    });
    let mut tools = request.tools.iter();
    named
        .or_else(|| tools.find(|tool| command(tool).is_some()))
        .or(request.tools.first())
}

/// The property of a tool that holds a command.
fn command(tool: &Tool) -> Option<&'static str> {
    let schema: Value = serde_json::from_str(tool.parameters.as_ref()?.get()).ok()?;
    let properties = schema.get("properties")?.as_object()?;
    COMMANDS
        .iter()
        .copied()
        .find(|name| properties.contains_key(*name))
}

/// What a line of the prompt asks of a tool: the words before the backticks, and what is between them. The last such line counts.
fn instruction(prompt: &str) -> Option<(&str, &str)> {
    prompt.lines().rev().find_map(|line| {
        let (before, rest) = line.split_once('`')?;
        let (argument, _) = rest.split_once('`')?;
        (!argument.is_empty()).then_some((before, argument))
    })
}

/// Puts a text where a tool takes its main argument: a command, else the first text or list that `arguments` has.
fn put(text: &str, tool: &Tool, arguments: &mut Map<String, Value>) {
    let texts = |value: &Value| {
        let all = value.as_array();
        value.is_string() || all.is_some_and(|all| all.iter().all(Value::is_string))
    };
    let mut names = arguments.iter().filter(|(_, value)| texts(value));
    let first = || names.next().map(|(name, _)| name.clone());
    let Some(name) = command(tool).map(str::to_owned).or_else(first) else {
        return;
    };
    let value = match arguments.get(&name) {
        Some(Value::Array(_)) => text.split_whitespace().collect(),
        _ => Value::from(text),
    };
    arguments.insert(name, value);
}

/// A call of a tool.
pub(super) fn call(tool: &Tool, request: &ChatRequest, behaviour: Behaviour, seed: u64) -> Part {
    let arguments = match (&tool.parameters, behaviour.speech) {
        (Some(parameters), speech) if speech != Speech::Tools(Calls::NoArguments) => {
            let prompt = asked(request);
            let hint = prose::excerpt(&prompt, 12);
            let mut arguments = match schema::example(parameters, &hint, seed) {
                Value::Object(arguments) => arguments,
                _ => Map::new(),
            };
            match instruction(&prompt) {
                Some((_, text)) => put(text, tool, &mut arguments),
                None if command(tool).is_some() => put("echo Hello", tool, &mut arguments),
                None => {}
            }
            Value::Object(arguments)
        }
        _ => Value::Object(Map::new()),
    };
    Part::ToolCall {
        id: format!("call_mock{seed:016x}"),
        name: tool.name.clone(),
        arguments: arguments.to_string(),
        signature: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{ask, said, with};
    use super::*;
    use crate::llm::{ChatResponse, Finish};

    fn tools() -> Value {
        let tool = |name: &str, key: &str| {
            json!({"type": "function", "function": {"name": name, "parameters":
                {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]}}})
        };
        with(
            said("Weather?"),
            "tools",
            json!([tool("weather", "city"), tool("clock", "country")]),
        )
    }

    /// Names and arguments of the calls.
    fn calls(response: &ChatResponse) -> Vec<(String, Value)> {
        let parts = &response.choices[0].parts;
        let calls = parts.iter().filter_map(|part| match part {
            Part::ToolCall {
                name, arguments, ..
            } => Some((name.clone(), serde_json::from_str(arguments).unwrap())),
            _ => None,
        });
        calls.collect()
    }

    fn names(response: &ChatResponse) -> Vec<String> {
        calls(response).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn tools_are_called_by_the_models_that_do() {
        assert!(calls(&ask("mock", tools()).unwrap()).is_empty());
        let one = ask("mock-tools", tools()).unwrap();
        assert_eq!(one.choices[0].finish, Some(Finish::ToolCalls));
        let [(name, arguments)] = &calls(&one)[..] else {
            panic!("{one:?}")
        };
        assert!(
            name == "weather" && arguments["city"].is_string(),
            "{arguments}"
        );
        assert_eq!(
            names(&ask("mock-tools-parallel", tools()).unwrap()),
            ["weather", "clock"]
        );
        assert_eq!(
            calls(&ask("mock-tools-noargs", tools()).unwrap()),
            [("weather".to_owned(), json!({}))]
        );
        assert!(
            ask("mock-tools", said("Weather?"))
                .unwrap()
                .text()
                .contains("Weather?")
        );
    }

    #[test]
    fn one_tool_is_called_twice_with_ids_of_its_own() {
        let mut body = tools();
        body["tools"].as_array_mut().unwrap().pop();
        let response = ask("mock-tools-parallel", body.clone()).unwrap();
        let ids: Vec<&str> = response.choices[0]
            .parts
            .iter()
            .map(|part| {
                if let Part::ToolCall { id, .. } = part {
                    id
                } else {
                    ""
                }
            })
            .collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
        assert_eq!(
            names(
                &ask(
                    "mock-tools-parallel",
                    with(body, "parallel_tool_calls", json!(false))
                )
                .unwrap()
            )
            .len(),
            1
        );
    }

    #[test]
    fn an_agents_tools_are_called_with_what_does_no_harm() {
        let tool = |name: &str, properties: Value, required: Value| {
            json!({"type": "function", "function": {"name": name, "parameters":
                {"type": "object", "properties": properties, "required": required}}})
        };
        let text = json!({"type": "string"});
        let list = json!({"type": "array", "items": {"type": "string"}});
        let offered = |prompt: &str| {
            let tools = json!([
                tool(
                    "Agent",
                    json!({"description": text, "prompt": text}),
                    json!(["description", "prompt"])
                ),
                tool(
                    "Bash",
                    json!({"timeout": {"type": "number"}, "command": text}),
                    json!(["command"])
                ),
                tool(
                    "Read",
                    json!({"limit": {"type": "number"}, "file_path": text}),
                    json!(["file_path"])
                ),
                tool("code__exec", json!({"input": text}), json!(["input"])),
                tool("shell", json!({"command": list}), json!(["command"])),
            ]);
            calls(&ask("mock-tools", with(said(prompt), "tools", tools)).unwrap())
        };
        for (prompt, name, arguments) in [
            ("Say hello", "Bash", json!({"command": "echo Hello"})),
            ("Run `cat a.txt`", "Bash", json!({"command": "cat a.txt"})),
            (
                "Now,\nRead: `a.txt`.\n",
                "Read",
                json!({"file_path": "a.txt"}),
            ),
            (
                "Use exec: `text(1)`",
                "code__exec",
                json!({"input": "text(1)"}),
            ),
            ("shell `ls -l`", "shell", json!({"command": ["ls", "-l"]})),
            ("Read it, ``", "Bash", json!({"command": "echo Hello"})),
        ] {
            assert_eq!(offered(prompt), [(name.to_owned(), arguments)], "{prompt}");
        }
    }

    #[test]
    fn tool_choice_is_honoured() {
        let named = |name: &str| json!({"type": "function", "function": {"name": name}});
        for (model, choice, expected) in [
            ("mock", json!("required"), vec!["weather"]),
            ("mock", json!("auto"), vec![]),
            ("mock", named("clock"), vec!["clock"]),
            ("mock-tools", json!("none"), vec![]),
            ("mock-tools-parallel", named("clock"), vec!["clock"]),
            (
                "mock-tools-parallel",
                json!("required"),
                vec!["weather", "clock"],
            ),
        ] {
            assert_eq!(
                names(&ask(model, with(tools(), "tool_choice", choice)).unwrap()),
                expected,
                "{model}"
            );
        }
        let fault = ask("mock", with(tools(), "tool_choice", named("other"))).unwrap_err();
        assert_eq!(
            (fault.status, fault.param.as_deref()),
            (400, Some("tool_choice"))
        );
        assert_eq!(
            ask("mock", with(said("a"), "tool_choice", json!("required")))
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn tool_results_are_quoted() {
        let mut body = tools();
        body["messages"] = json!([{"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "sunny, 21"}, {"role": "tool", "tool_call_id": "b", "content": "noon"}]);
        for model in ["mock-tools", "mock-tools-parallel", "mock"] {
            let text = ask(model, body.clone()).unwrap().text();
            assert!(
                text.contains("The result is: sunny, 21 And: noon"),
                "{text}"
            );
        }
    }
}
