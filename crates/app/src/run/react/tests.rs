//! What models write, and how it is read.

use super::*;

fn tools() -> Vec<Tool> {
    let tool =
        |name: &str, parameters| Tool { name: name.into(), description: String::new(), parameters };
    vec![
        tool("clock", json!({"type": "object", "properties": {}})),
        tool(
            "calc",
            json!({"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}),
        ),
        tool("roll", json!({"type": "object", "properties": {"sides": {"type": "integer"}}})),
        tool(
            "send",
            json!({"type": "object", "properties": {"to": {"type": "string"}, "text": {"type": "string"}}, "required": ["to", "text"]}),
        ),
    ]
}

fn act(tool: &str, arguments: Value) -> Option<(String, Value)> {
    Some((tool.into(), arguments))
}

#[test]
fn whatever_a_model_makes_of_the_form_is_read() {
    let two = || json!({"expression": "2+2"});
    let rows = [
        (
            "Thought: I add.\nAction: calc\nAction Input: {\"expression\": \"2+2\"}",
            act("calc", two()),
        ),
        (
            "Action: calc\nAction Input: {\"expression\": \"2+2\"}\nObservation: 5\nFinal Answer: 5",
            act("calc", two()),
        ),
        ("**Thought:** hm\n**Action:** `calc`\n**Action Input:** 2+2", act("calc", two())),
        ("THOUGHT: hm\nACTION : calc\nACTION INPUT : 2+2\n", act("calc", two())),
        ("思考：我来算\n行动：calc\n行动输入：{\"expression\": \"2+2\"}", act("calc", two())),
        ("Action: calc(2+2)", act("calc", two())),
        ("Action: calc[2+2]", act("calc", two())),
        ("Action: calc {\"expression\": \"2+2\"}", act("calc", two())),
        (
            "Action: calc\nAction Input:\n```json\n{\"expression\": \"2+2\"}\n```\n",
            act("calc", two()),
        ),
        (
            "Action: {\"name\": \"calc\", \"arguments\": {\"expression\": \"2+2\"}}",
            act("calc", two()),
        ),
        (
            "Action: ```json\n{\"action\": \"calc\", \"action_input\": {\"expression\": \"2+2\"}}\n```",
            act("calc", two()),
        ),
        ("<think>Final Answer: no\n</think>\nAction: calc\nAction Input: 2+2", act("calc", two())),
        ("Thought 1: a\nAction 1: calc\nAction Input 1: 2+2", act("calc", two())),
        (
            "Action: calc\nAction Input: {\"expression\": \"2+2\"} and then I will see",
            act("calc", two()),
        ),
        ("Action: roll\nAction Input: 6", act("roll", json!({"sides": 6}))),
        ("Action: calc\nAction Input: 6", act("calc", json!({"expression": "6"}))),
        ("Action: clock", act("clock", json!({}))),
        ("Action: clock\nAction Input: None", act("clock", json!({}))),
        ("Action: nobody\nAction Input: {\"a\": 1}", act("nobody", json!({"a": 1}))),
    ];
    for (text, want) in rows {
        let got = match parse(text, &tools()) {
            Parsed::Act { tool, arguments, .. } => Some((tool, arguments)),
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(got, want, "{text:?}");
    }
}

#[test]
fn an_answer_is_the_rest_of_the_text() {
    let rows = [
        ("Final Answer: 4", "", "4"),
        (
            "Thought: done\nFinal Answer: first\nAction: is a word",
            "done",
            "first\nAction: is a word",
        ),
        ("I know.\n最终答案：四", "I know.", "四"),
        ("### Final Answer: 4", "", "4"),
    ];
    for (text, thought, answer) in rows {
        let want = Parsed::Final { thought: thought.into(), answer: answer.into() };
        assert_eq!(parse(text, &tools()), want, "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let rows = [
        ("", "neither"),
        ("The answer is 4.", "neither"),
        ("Thought: I should act", "neither"),
        ("Observation: 5\nFinal Answer: 5", "neither"),
        ("Final Answer:  \n", "nothing behind"),
        ("Action:\nAction Input: 4", "name of a tool"),
        ("Action Input: 4", "without"),
        ("Action: send\nAction Input: hello", "JSON object"),
        ("Action: send\nAction Input: {\"to\": \"a\", ", "JSON object"),
        ("Action: {\"x\": 1}", "name of a tool"),
    ];
    for (text, part) in rows {
        match parse(text, &tools()) {
            Parsed::Malformed(what) => assert!(what.contains(part), "{text:?}: {what}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn nothing_a_model_says_breaks_the_parser() {
    // Pieces of the form in every order of four: 12^4 texts.
    let pieces = [
        "Thought:",
        "Action:",
        "Action Input:",
        "Final Answer:",
        "Observation:",
        "\n",
        "{",
        "```",
        "calc(",
        "行动：",
        "\u{2028}é",
        "**",
    ];
    let n = pieces.len();
    for i in 0..n.pow(4) {
        let text: String = (0..4).map(|d| pieces[i / n.pow(d) % n]).collect();
        parse(&text, &tools());
    }
}

#[test]
fn a_grammar_has_a_rule_for_each_tool() {
    let grammar = grammar(&tools()).unwrap();
    assert!(grammar.contains(r#"call3: "Action: send\nAction Input: " input3"#), "{grammar}");
    assert!(super::grammar(&[]).unwrap().contains("\"\\n\" final\n"));
}
