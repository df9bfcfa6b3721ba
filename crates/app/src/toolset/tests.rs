//! Sixty tools and a small window: the right ones are shown, in a stable order, within the budget.

use super::*;
use ondine_chat::{ChatError, Embedded};

/// Names and descriptions of tools as assistants have them.
const SIXTY: &[(&str, &str)] = &[
    ("alarm_set", "Set an alarm. 设置闹钟"),
    ("alarm_cancel", "Cancel an alarm. 取消闹钟"),
    ("timer_start", "Start a countdown timer. 开始倒计时"),
    ("calendar_add", "Put an event into the calendar. 添加日程"),
    ("calendar_query", "Look up events of the calendar. 查询日程"),
    ("weather_query", "Tell the weather forecast of a place. 查询天气预报"),
    ("note_create", "Write a note. 写笔记"),
    ("note_find", "Find notes by their words. 查找笔记"),
    ("list_add", "Add an item to a shopping list. 添加到购物清单"),
    ("music_play", "Play music of an artist or a song. 播放音乐"),
    ("radio_play", "Play a radio station. 播放电台"),
    ("volume_set", "Change the loudness of the speaker. 调节音量"),
    ("light_set", "Switch, dim or colour lights of a room. 控制灯光"),
    ("heating_set", "Set the temperature of the heating. 设置暖气温度"),
    ("vacuum_start", "Start the vacuum cleaner robot. 启动扫地机器人"),
    ("message_send", "Send a text message to a contact. 发送短信"),
    ("email_send", "Write and send an e-mail. 发送邮件"),
    ("call_make", "Call a phone number or a person. 打电话"),
    ("contact_find", "Look up a contact's number or address. 查找联系人"),
    ("app_open", "Open an application. 打开应用"),
    ("camera_capture", "Take a photo or a video with the camera. 拍照"),
    ("navigate", "Give directions for driving to a destination. 导航"),
    ("traffic_query", "Tell how heavy traffic is on a road. 查询路况"),
    ("calculate", "Work out arithmetic. 计算"),
    ("unit_convert", "Convert between units of measure such as kilometres and miles. 单位换算"),
    ("currency_convert", "Exchange an amount of money between currencies. 汇率换算"),
    ("stock_quote", "Tell the price of a share on the exchange. 查询股票价格"),
    ("translate", "Translate a text into another language. 翻译"),
    ("dictionary", "Explain the meaning and spelling of a word. 查字典"),
    ("news_read", "Read the latest headlines. 阅读新闻"),
    ("recipe_find", "Find a recipe for cooking with some ingredients. 查找菜谱"),
    ("restaurant_find", "Find restaurants nearby to eat. 查找餐厅"),
    ("table_book", "Reserve a table at a restaurant. 预订餐桌"),
    ("flight_search", "Search flights between airports. 搜索航班"),
    ("hotel_search", "Search hotels in a city. 搜索酒店"),
    ("train_search", "Search train connections between stations. 搜索火车"),
    ("taxi_order", "Order a taxi to pick somebody up. 叫出租车"),
    ("parcel_track", "Track where a parcel is. 查询快递"),
    ("file_read", "Read a file of the folder. 读取文件"),
    ("file_write", "Write a file into the folder. 写入文件"),
    ("file_search", "Search words inside of files. 搜索文件"),
    ("web_search", "Search the web. 搜索网页"),
    ("web_fetch", "Fetch a page of the web by its address. 打开网页"),
    ("code_run", "Run a program in a sandbox. 运行程序"),
    ("git_log", "Show the history of a repository. 查看提交历史"),
    ("git_commit", "Commit staged changes to a repository. 提交代码"),
    ("test_run", "Run the unit tests of a project. 运行测试"),
    ("database_query", "Ask the database a question in SQL. 查询数据库"),
    ("chart_draw", "Draw a bar or line chart of numbers. 绘制图表"),
    ("image_resize", "Make a picture smaller or larger. 调整图片大小"),
    ("pdf_merge", "Merge several PDF documents into one. 合并文档"),
    ("zip_extract", "Extract a compressed archive. 解压缩"),
    ("backup_start", "Back up the disk. 备份磁盘"),
    ("wifi_switch", "Switch the wireless network on or off. 开关无线网络"),
    ("bluetooth_pair", "Pair a bluetooth headset. 配对蓝牙耳机"),
    ("battery_query", "Tell how much battery charge is left. 查询电量"),
    ("screen_lock", "Lock the screen. 锁定屏幕"),
    ("clipboard_copy", "Copy a text to the clipboard. 复制到剪贴板"),
    ("password_make", "Make up a strong password. 生成密码"),
    ("moon_phase", "Tell the phase of the moon. 查询月相"),
];

/// What is said, and the tool that it needs.
const ASKED: &[(&str, &str)] = &[
    ("wake me with an alarm at seven", "alarm_set"),
    ("what will the weather be in Oslo", "weather_query"),
    ("how many miles are 5 kilometres, convert it", "unit_convert"),
    ("please send an e-mail to Ada about the meeting", "email_send"),
    ("translating this sentence to French", "translate"),
    ("search for trains from Bern to Basel", "train_search"),
    ("merge these two PDFs", "pdf_merge"),
    ("commit my changes to the repository", "git_commit"),
    ("find recipes that are cooked with leeks", "recipe_find"),
    ("is there much battery left", "battery_query"),
    ("run the tests of this project", "test_run"),
    ("明天早上七点的闹钟", "alarm_set"),
    ("把客厅的灯光调暗", "light_set"),
    ("帮我打电话给妈妈", "call_make"),
    ("北京的天气怎么样", "weather_query"),
    ("播放周杰伦的音乐", "music_play"),
    ("五公里等于多少英里，单位换算一下", "unit_convert"),
];

fn tool(name: &str, about: &str) -> Arc<dyn Tool> {
    let parameters = json!({"type": "object", "properties": {"what": {"type": "string"}}});
    let spec = ToolSpec {
        name: name.into(),
        description: about.into(),
        parameters,
        effect: Effect::Read,
        timeout: Duration::from_secs(1),
    };
    Arc::new(FnTool::new(spec, |_: Value, _: &Context| Ok(Value::Null)))
}

fn sixty() -> ToolSet {
    ToolSet::of(SIXTY.iter().map(|(name, about)| tool(name, about))).unwrap()
}

fn names(tools: &[Arc<dyn Tool>]) -> Vec<String> {
    tools.iter().map(|tool| tool.spec().name.clone()).collect()
}

fn cost(tools: &[Arc<dyn Tool>]) -> usize {
    tools.iter().map(|tool| guessed(&tool.spec().tool())).sum()
}

#[test]
fn the_right_tool_is_among_the_few_and_the_budget_holds() {
    assert_eq!(SIXTY.len(), 60);
    let all = cost(&sixty().choose(&mut Chosen::default(), ""));
    let budget = 500;
    assert!(all > 5 * budget, "{all} tokens for all");
    let set = sixty().budgeted(budget, &["calculate"]).unwrap();
    let mut lacking = Vec::new();
    for (words, wanted) in ASKED {
        let shown = set.choose(&mut Chosen::default(), words);
        assert!(cost(&shown) <= budget, "{} tokens for {words:?}", cost(&shown));
        assert_eq!(names(&shown)[..2], ["calculate", SEARCH_TOOLS]);
        if !names(&shown).iter().any(|name| name == wanted) {
            lacking.push((words, wanted, names(&shown)));
        }
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}

#[test]
fn a_long_conversation_keeps_to_the_budget_and_disturbs_little() {
    let set = sixty().budgeted(420, &["calculate"]).unwrap().at_most(3);
    let mut chosen = Chosen::default();
    let mut before: Vec<String> = Vec::new();
    let mut only_longer = 0;
    for (words, wanted) in ASKED.iter().cycle().take(200) {
        let shown = set.choose(&mut chosen, words);
        assert!(cost(&shown) <= 420);
        let shown = names(&shown);
        assert!(shown.iter().any(|name| name == wanted), "{words}: {shown:?}");
        // A question asked again changes nothing at all.
        let mut again = chosen.clone();
        assert_eq!(names(&set.choose(&mut again, words)), shown);
        only_longer += usize::from(shown.starts_with(&before));
        // Those that stay keep their order.
        let stayed: Vec<_> = before.iter().filter(|name| shown.contains(name)).collect();
        let now: Vec<_> = shown.iter().filter(|name| before.contains(name)).collect();
        assert_eq!(stayed, now);
        before = shown;
    }
    assert!(only_longer >= 2, "the first turns only add");
    // A value: kept and read again, it goes on alike.
    let text = serde_json::to_string(&chosen).unwrap();
    let mut read: Chosen = serde_json::from_str(&text).unwrap();
    assert_eq!(
        names(&set.choose(&mut read, "the moon")),
        names(&set.choose(&mut chosen, "the moon"))
    );
}

#[test]
fn what_the_model_looks_for_is_shown_next() {
    let set = sixty().budgeted(300, &[]).unwrap();
    let mut chosen = Chosen::default();
    let shown = set.choose(&mut chosen, "good morning");
    assert_eq!(names(&shown), [SEARCH_TOOLS]);
    let search = set.get(SEARCH_TOOLS).unwrap();
    let arguments = json!({"query": "extract an archive"});
    let call = ToolCall { id: "1".into(), name: SEARCH_TOOLS.into(), arguments };
    let seen = crate::perform(search, &call, &Context::default(), crate::Bounds::default());
    assert!(seen.text.contains("zip_extract"), "{}", seen.text);
    chosen.saw(&call, &seen.text);
    let shown = set.choose(&mut chosen, "good morning");
    assert!(names(&shown).contains(&"zip_extract".to_owned()), "{:?}", names(&shown));
    assert!(cost(&shown) <= 300);
    // Whatever stands in an observation, only tools of the set are shown, and the budget holds.
    let bad = json!({"tools": [{"name": "rm"}, {"name": 7}, {}, {"name": "moon_phase"}]});
    chosen.saw(&call, &bad.to_string());
    chosen.saw(&call, "no JSON");
    let others = ToolCall { name: "moon_phase".into(), ..call.clone() };
    chosen.saw(&others, &json!({"tools": [{"name": "git_log"}]}).to_string());
    let shown = set.choose(&mut chosen, "good morning");
    assert!(names(&shown).contains(&"moon_phase".to_owned()));
    assert!(!names(&shown).iter().any(|name| name == "rm" || name == "git_log"));
    assert!(cost(&shown) <= 300);
}

/// A vector for what a few words mean; every other text is far from all.
struct Meaning;

impl Embed for Meaning {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        if model == "broken" {
            return Err(ChatError::Unsupported("no vectors".into()));
        }
        let vector = |text: &String| {
            let cold = ["freezing", "heating"].iter().any(|word| text.contains(word));
            let dirt = ["crumbs", "vacuum"].iter().any(|word| text.contains(word));
            vec![f32::from(u8::from(cold)), f32::from(u8::from(dirt)), 0.1]
        };
        Ok(Embedded { vectors: texts.iter().map(vector).collect(), tokens: 0 })
    }
}

#[test]
fn meaning_finds_what_words_do_not() {
    let words = "there are crumbs everywhere";
    let plain = sixty().budgeted(300, &[]).unwrap();
    let has = |set: &ToolSet, words: &str, name: &str| {
        names(&set.choose(&mut Chosen::default(), words)).contains(&name.to_owned())
    };
    assert!(!has(&plain, words, "vacuum_start"));
    let meant = sixty().embedding_with(Arc::new(Meaning), "m").budgeted(300, &[]).unwrap();
    assert!(has(&meant, words, "vacuum_start"));
    assert!(has(&meant, "I am freezing", "heating_set"));
    // Whoever gives vectors may fail; the words are still there.
    let broken = sixty().embedding_with(Arc::new(Meaning), "broken").budgeted(300, &[]).unwrap();
    assert!(has(&broken, "set an alarm", "alarm_set"));
}

#[test]
fn what_cannot_be_a_set_is_said() {
    let twice = ToolSet::of([tool("a", ""), tool("a", "")]).err();
    assert_eq!(twice, Some(ToolSetError::Twice("a".into())));
    for name in ["", "a b", "a\0", "ａ", &"x".repeat(65)] {
        assert!(matches!(ToolSet::of([tool(name, "")]).err(), Some(ToolSetError::Name(_))));
    }
    let own = ToolSet::of([tool(SEARCH_TOOLS, "")]).err();
    assert_eq!(own, Some(ToolSetError::Reserved(SEARCH_TOOLS.into())));
    assert_eq!(sixty().budgeted(500, &["none"]).err(), Some(ToolSetError::Absent("none".into())));
    assert!(matches!(sixty().budgeted(50, &[]).err(), Some(ToolSetError::Budget { .. })));
    let long = ToolSet::of([tool("long", &"word ".repeat(400))]).unwrap();
    assert!(matches!(
        long.clone().budgeted(400, &[]).err(),
        Some(ToolSetError::Budget { name, .. }) if name == "long"
    ));
    // Who can count says how many tokens it takes.
    assert!(long.counting(|_| 10).budgeted(400, &["long"]).is_ok());
}
