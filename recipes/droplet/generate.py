#!/usr/bin/env python3
"""Writes droplet's training rows: sentences of our own grammar in English and Chinese, sentences of Home Assistant's
templates, and the human-written rows of HWU64, SNIPS and CLINC150 mapped onto the closed set of functions.

  generate.py [--data ../../../shared/data] [--out work] [--seed 1] [--per-function 3000]

A row is {"text", "fn", "args": {param: value}, "full", "lang", "src"}; `full` is false where only the function is
known. Every string value is a substring of the text. slurp-devel is written apart and is for validation only.
"""
import argparse
import gzip
import json
import pathlib
import re
import sys
import tarfile

from grammar import Grammar, seeded

HERE = pathlib.Path(__file__).resolve().parent

# Parameters whose value is one of a closed set are given by the block header, never copied from the text.
OPENERS = {
    ("zh", "c"): "|||||||||请|请你|帮我|帮我|麻烦|麻烦你|麻烦帮我|请帮我|给我|能不能|能不能帮我|可以帮我|能帮我|你帮我|帮忙|我想|我想要|我要|快|快点|来|你好，|现在|马上|立刻|劳驾|拜托|嘿，|喂，|那个，|嗯，|呃，|好，|可不可以|可以|替我|先|那就|再|赶紧|帮我一下，",
    ("zh", "q"): "|||||||||请问|请问一下|问一下|告诉我|我想知道|帮我看看|帮我查一下|查一下|查查|帮我看下|想问下|你知道|你说|嗯，|那个，|你好，|帮我查下|麻烦看下|说说|看一下|哎，|诶，|我问你|能告诉我|话说",
    ("zh", "-"): "||||||||嗯，|啊，|哦，|那个，|哎，|嘿，",
    ("en", "c"): "|||||||||please |please |can you |could you |can you please |could you please |i want you to |i'd like you to |i need you to |hey |ok |will you |would you |kindly |go ahead and |just |now |help me |",
    ("en", "q"): "||||||||please |can you tell me |tell me |hey |do you know |could you tell me |i want to know |ok |",
    ("en", "-"): "||||||oh |well |um |",
}
WAKES = {
    "zh": "小爱同学，|嘿 Siri，|嗨siri|小度小度，|天猫精灵，|小艺小艺，|小爱，|小水滴，|你好小滴，|olly，|助手，|hey siri|小布小布，|小助手，|Hi小滴|小水滴|宝贝，",
    "en": "olly |hey olly |hey siri |ok google |alexa |siri |hello olly |hey google |droplet |hey droplet |computer |assistant |olly please |",
}
CLOSERS = {
    ("zh", "c"): "|||||||||||吧|一下|谢谢|，谢谢|好吗|可以吗|行吗|呗|，快点|，好不好|，麻烦了|，拜托|哈|啊|，行不行|哦",
    ("zh", "q"): "||||||||||||啊|呀|呢|来着|，谢谢|，告诉我|，帮我看看|，查一下|，你知道吗",
    ("zh", "-"): "|||||||||啊|呀|呢|了|哈|吧|，小爱",
    ("en", "c"): "||||||||| please| please| for me| now| thanks| right now| okay| thank you| olly",
    ("en", "q"): "|||||||||| please| now| olly| thanks",
    ("en", "-"): "||||||| olly| please",
}
TYPO_ZH = {
    "的": "得地", "在": "再", "再": "在", "做": "作", "帐": "账", "点": "电", "那": "哪", "哪": "那", "他": "她", "闹": "脑", "钟": "中",
    "听": "厅", "查": "插", "放": "方", "调": "条", "设": "社", "件": "见", "道": "到", "把": "吧", "定": "订", "订": "定", "首": "手",
    "灯": "等", "播": "拨", "拨": "播", "添": "天", "加": "家", "醒": "行", "请": "情", "发": "法", "给": "跟", "开": "凯", "式": "是",
}


def load_functions(data):
    path = data / "assistant" / "functions.json"
    if not path.exists():
        sys.exit(f"generate.py: {path} is absent; pass the folder that holds assistant/functions.json as --data")
    functions = json.loads(path.read_text(encoding="utf-8"))["functions"]
    return {f["name"]: f["parameters"] for f in functions}


def is_required(spec):
    return not spec.endswith("?") and not (spec.startswith("string,") and "?" in spec)


def is_string(spec):
    return spec.startswith("string")


def enum_values(spec):
    return [] if is_string(spec) else spec.rstrip("?").split("|")


def complete(functions, fn, args):
    """True where every required parameter of the function has a value."""
    return all(p in args for p, spec in functions[fn].items() if is_required(spec))


class Templates:
    """Blocks of templates of one language: (function, style, fixed values, weight, parsed lines)."""

    def __init__(self, lang, functions, human_values):
        self.lang, self.functions = lang, functions
        self.grammar = Grammar()
        self.grammar.read_lexicons(HERE / "grammar" / f"lexicon-{lang}.txt")
        if lang == "en":
            for name, values in human_values.items():
                if name in self.grammar.lexicons and values:
                    self.grammar.lexicons[name] += [("lit", v) for v in values]
        self.blocks = []
        for line in open(HERE / "grammar" / f"templates-{lang}.txt", encoding="utf-8"):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("@ "):
                fn, style, *rest = line[2:].split()
                if fn not in functions:
                    raise ValueError(f"templates-{lang}.txt: no function named {fn}")
                weight = next((float(r[1:]) for r in rest if r.startswith("*")), 1.0)
                fixed = dict(r.split("=") for r in rest if "=" in r)
                self.blocks.append((fn, style, fixed, weight, []))
            else:
                node = self.grammar.parse(line)
                alternatives = node[1] if node[0] == "alt" else [node]
                lines = self.blocks[-1][4]
                # A line of many whole alternatives stands for several templates.
                lines += [node] * max(1, min(8, round(len(alternatives) ** 0.5)))

    def rows(self, fn, count, seed):
        """`count` distinct rows of one function (fewer where the grammar cannot make so many)."""
        rng = seeded(seed, self.lang, fn)
        blocks = [b for b in self.blocks if b[0] == fn]
        # A block weighs by its templates, damped so that a short one is still heard.
        weights = [b[3] * len(b[4]) ** 0.5 for b in blocks]
        seen, tries = set(), 0
        while len(seen) < count and tries < count * 6:
            tries += 1
            _, style, fixed, _, lines = rng.choices(blocks, weights)[0]
            text, args = self.grammar.sample(rng.choice(lines), rng, self.functions[fn])
            args.update(fixed)
            row = decorate(text, args, fn, self.lang, style, rng, self.functions)
            if row and row["text"] not in seen:
                seen.add(row["text"])
                yield row


def pick(choices, rng):
    return rng.choice(choices.split("|"))


def decorate(text, args, fn, lang, style, rng, functions):
    """Openers, closers, wake words, case, punctuation and noise, keeping every value a substring of the text."""
    if rng.random() < 0.75:
        opener = pick(OPENERS[lang, style], rng)
        if not (opener and text.startswith(opener.strip())):
            text = opener + text
    if rng.random() < 0.6:
        text = text + pick(CLOSERS[lang, style], rng)
    if rng.random() < 0.08:
        text = pick(WAKES[lang], rng) + text
    if lang == "zh":
        text = re.sub(r"帮我帮我|给我给我|帮我给我", "帮我", text)
        text = re.sub(r"我想我想|我要我要|我想我要|我要我想", "我想", text)
        text = re.sub(r"^(请问|告诉我|查一下|看一下|帮我查一下|说说)(告诉我|查一下|看一下|看看|帮我|查|说一下)", r"\2", text)
        if rng.random() < 0.55:
            text = re.sub(r"[，,：]", "" if rng.random() < 0.7 else " ", text)
        if rng.random() < 0.25 and text[-1] not in "？。！":
            text += "？" if style == "q" else rng.choice("。。。！")
    elif rng.random() < 0.25:
        text = text[0].upper() + text[1:] + ("?" if style == "q" else ".")
    if lang == "en" and rng.random() < 0.02:
        text = text.upper()
        args = {p: (v.upper() if v in text.lower() and is_string(functions[fn][p]) else v) for p, v in args.items()}
    noisy = noise(text, lang, rng)
    if all(v in noisy for p, v in args.items() if is_string(functions[fn][p])):
        text = noisy
    return finish(text, args, fn, lang, "template", functions)


def noise(text, lang, rng):
    """What speech recognition and hurried thumbs do."""
    r = rng.random()
    if lang == "zh":
        if r < 0.06:
            i = rng.randrange(len(text))
            if text[i] in TYPO_ZH:
                return text[:i] + rng.choice(TYPO_ZH[text[i]]) + text[i + 1:]
        elif r < 0.09 and len(text) > 5:
            i = rng.randrange(len(text))
            return text[:i] + text[i + 1:]
        elif r < 0.11:
            i = rng.randrange(len(text))
            return text[:i] + text[i] + text[i:]
        elif r < 0.14:
            i = rng.randrange(len(text) + 1)
            return text[:i] + rng.choice(["那个", "嗯", "呃", "就是", " "]) + text[i:]
    else:
        if r < 0.05 and len(text) > 6:
            i = rng.randrange(len(text))
            return text[:i] + text[i + 1:]
        if r < 0.07 and len(text) > 6:
            i = rng.randrange(len(text) - 1)
            return text[:i] + text[i + 1] + text[i] + text[i + 2:]
        if r < 0.11:
            words = text.split(" ")
            words.insert(rng.randrange(len(words) + 1), rng.choice(["um", "uh", "like", "the", "please", "so"]))
            return " ".join(words)
    return text


def finish(text, args, fn, lang, src, functions):
    """The row in its final form, or None where a value is not to be found in the text."""
    text = re.sub(r" +", " ", text).strip()
    if not text:
        return None
    ordered = {}
    for p, spec in functions[fn].items():
        if p not in args:
            continue
        value = args[p].strip()
        if is_string(spec) and (not value or value not in text):
            return None
        if not is_string(spec) and value not in enum_values(spec):
            return None
        ordered[p] = value
    return {"text": text, "fn": fn, "args": ordered, "full": complete(functions, fn, ordered), "lang": lang, "src": src}


# ---- human-written rows ----------------------------------------------------------------------------

DEVICE = re.compile(r"coffee (?:machine|maker|pot)|coffeemaker|espresso machine|coffee|espresso|latte|cappuccino|brew")
MEDIA = [
    ("pause", r"\bpause\b|\bhold\b"), ("resume", r"\bresume\b|\bcontinue\b|unpause"), ("shuffle", r"shuffle|random"),
    ("repeat", r"repeat|loop|again|replay"), ("previous", r"previous|\bback\b|last"), ("next", r"next|skip|change|forward|another"),
    ("stop", r"\bstop\b|turn off|shut"),
]
LIGHT = [("color", r"\b(red|blue|green|yellow|purple|pink|orange|white|violet|teal|gold|cyan|magenta|black|brown)\b")]


def derive(fn, intent, text, args):
    """Arguments that a source does not annotate and that a plain rule finds."""
    low = text.lower()
    if fn == "device_switch" and "device" not in args:
        match = DEVICE.search(low) or re.search(r"\b(plug|socket|wemo|oven|heater|fan|tv|ac|outlet|power)\b", low)
        if match:
            args["device"] = text[match.start():match.end()]
    elif fn == "media_control":
        for action, pattern in MEDIA:
            if re.search(pattern, low):
                args["action"] = action
                break
    elif fn == "light_set" and "color" not in args:
        match = re.search(LIGHT[0][1], low)
        if match:
            args["color"] = text[match.start():match.end()]
    elif fn == "volume_set" and intent == "change_volume":
        if re.search(r"unmute", low):
            args["direction"] = "unmute"
        elif re.search(r"\bup\b|increase|raise|louder|higher", low):
            args["direction"] = "up"
        elif re.search(r"\bdown\b|decrease|lower|quieter|reduce|softer", low):
            args["direction"] = "down"
        elif "mute" in low:
            args["direction"] = "mute"
        match = re.search(r"\b(?:to|at)(?: level| volume)? (\w+(?: percent|%)?)$", low.rstrip(".?! "))
        if match:
            args["level"] = text[match.start(1):match.end(1)]
    elif fn == "calculate":
        match = re.search(r"(?:what(?:'s| is)|calculate|compute|solve|how much is|find|add|tell me|of) (.*\d.*|.*\b(?:plus|minus|times|divided|root|percent|multiplied)\b.*)", low)
        if match:
            value = text[match.start(1):match.end(1)].rstrip("?.! ")
            value = re.sub(r"^(the (?:answer|result|value|total) (?:to|of|for) )", "", value)
            args["expression"] = value
    return args


def human_rows(data, functions, values):
    """The mapped rows of the three training sets; `values` collects slot values by parameter, for swapping."""
    mapping = json.loads((data / "assistant" / "mapping.json").read_text(encoding="utf-8"))["sources"]
    for source, file in (("hwu64", "hwu64-train"), ("snips", "snips-train"), ("clinc150", "clinc150-train")):
        for row in read_jsonl(data / "assistant" / f"{file}.jsonl.gz"):
            if row["intent"] in mapping[source]:
                yield mapped_row(row, mapping[source], functions, source, values)


def read_jsonl(path):
    return [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]


def mapped_row(row, mapping, functions, source, values=None):
    fn, slots = mapping[row["intent"]]
    args = {k[1:]: v for k, v in slots.items() if k.startswith("=")}
    for slot in row["slots"]:
        param = slots.get(slot["name"])
        value = slot["value"].strip()
        if param and param not in args and value and value in row["text"]:
            args[param] = value
            if values is not None:
                values.setdefault((fn, param), []).append(value)
    args = derive(fn, row["intent"], row["text"], args)
    ok = {p: v for p, v in args.items() if p in functions[fn] and (not is_string(functions[fn][p]) or v in row["text"])}
    out = finish(row["text"], ok, fn, row["lang"], source, functions)
    # CLINC150 carries no slots at all: where a function takes any, only its name is known.
    if source == "clinc150" and any(is_string(s) for s in functions[fn].values()):
        required = [p for p, s in functions[fn].items() if is_required(s)]
        out["full"] = out["full"] and bool(required) and set(required) == set(functions[fn])
    out["intent"] = f"{source}:{row['intent']}"
    return out


def swapped(rows, values, functions, count, seed):
    """Human sentences with some slot values replaced by other human values of the same function and parameter."""
    rng = seeded(seed, "swap")
    able = [r for r in rows if r["full"] and any(is_string(functions[r["fn"]][p]) for p in r["args"])]
    for _ in range(count):
        row = rng.choice(able)
        text, args = row["text"], dict(row["args"])
        for p, v in row["args"].items():
            pool = values.get((row["fn"], p))
            if not is_string(functions[row["fn"]][p]) or not pool or text.count(v) != 1:
                continue
            if any(q != p and (args[q] in v or v in args[q]) for q in args):
                continue
            new = rng.choice(pool)
            text, args[p] = text.replace(v, new), new
        out = finish(text, args, row["fn"], row["lang"], "swap", functions)
        if out:
            out["intent"] = row["intent"]
            yield out


# ---- Home Assistant --------------------------------------------------------------------------------

HASS = {
    "light_HassTurnOn": "light_set", "light_HassTurnOff": "light_set", "light_HassLightSet": "light_set",
    "cover_HassTurnOn": "device_switch", "cover_HassTurnOff": "device_switch", "cover_HassSetPosition": "device_switch",
    "fan_HassTurnOn": "device_switch", "fan_HassTurnOff": "device_switch", "lock_HassTurnOn": "device_switch",
    "lock_HassTurnOff": "device_switch", "homeassistant_HassTurnOn": "device_switch",
    "homeassistant_HassTurnOff": "device_switch", "climate_HassClimateSetTemperature": "climate_set",
    "homeassistant_HassStartTimer": "timer_set", "homeassistant_HassGetCurrentTime": "clock_query",
    "homeassistant_HassGetCurrentDate": "clock_query", "weather_HassGetWeather": "weather_query",
    "homeassistant_HassNevermind": "none", "vacuum_HassVacuumStart": "vacuum_start",
    "media_player_HassMediaNext": "media_control", "media_player_HassMediaPrevious": "media_control",
    "media_player_HassMediaPause": "media_control", "media_player_HassMediaUnpause": "media_control",
    "media_player_HassSetVolume": "volume_set", "shopping_list_HassShoppingListAddItem": "list_add",
    "todo_HassListAddItem": "list_add", "media_player_HassMediaSearchAndPlay": "music_play",
}


def hass_rows(data, functions, templates, per_file, seed):
    """Sentences of Home Assistant's templates; they teach the function's name only."""
    import yaml
    for tag in ("en", "zh-cn", "zh-tw", "zh-hk"):
        lang = tag[:2]
        archive = tarfile.open(data / "assistant" / "home-assistant" / f"sentences-{tag}.tar.gz")
        texts = {m.name.split("/")[-1]: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
        common = yaml.safe_load(texts["_common.yaml"])
        for file, body in sorted(texts.items()):
            fn = HASS.get(file.removesuffix(".yaml"))
            if not fn:
                continue
            rng = seeded(seed, tag, file)
            grammar = hass_grammar(common, templates[lang].grammar, "lamp" if file.startswith("light") else "device", lang)
            sentences = []
            for intent in yaml.safe_load(body)["intents"].values():
                for block in intent.get("data", []):
                    sentences += block.get("sentences", [])
            seen = set()
            for _ in range(per_file * 3):
                if len(seen) >= per_file:
                    break
                try:
                    text, _ = grammar.sample(grammar.parse(rng.choice(sentences)), rng)
                except (KeyError, ValueError, RecursionError):
                    continue
                row = finish(text, {}, fn, lang, "hass", functions)
                if row and text not in seen:
                    seen.add(text)
                    row["full"] = False
                    yield row


def hass_grammar(common, ours, name_lexicon, lang):
    grammar = Grammar()
    borrowed = {"name": name_lexicon if lang == "zh" else "device", "area": "room", "item": "item", "timer_name": "song",
                "search_query": "song", "floor": "room", "shopping_list_item": "item", "todo_list_item": "item"}
    grammar.lexicons.update(ours.lexicons)
    for slot, lexicon in borrowed.items():
        grammar.lexicons[slot] = ours.lexicons.get(lexicon) or ours.lexicons["room"]
    for name, spec in (common.get("lists") or {}).items():
        if "range" in spec:
            low, high = spec["range"]["from"], spec["range"]["to"]
            grammar.lexicons[name] = [("lit", str(i)) for i in range(low, high + 1)]
        elif "values" in spec:
            grammar.lexicons[name] = []
            grammar.add_lexicon(name, [str(v["in"] if isinstance(v, dict) else v) for v in spec["values"]])
    for name, expression in (common.get("expansion_rules") or {}).items():
        try:
            grammar.lexicons[name] = [grammar.parse(expression)]
        except (ValueError, IndexError):
            continue
    # In Home Assistant's notation {list:slot} names the list first.
    parse = grammar.parse
    grammar.parse = lambda text: parse(re.sub(r"\{(\w+):\w+\}", r"{\1}", text))
    for name, expression in (common.get("expansion_rules") or {}).items():
        try:
            grammar.lexicons[name] = [grammar.parse(expression)]
        except (ValueError, IndexError):
            continue
    return grammar


# ---- traditional characters ------------------------------------------------------------------------

def traditional(row, converters, rng, functions):
    """The row in traditional characters, where its values survive the conversion."""
    convert = rng.choice(converters).convert
    args = {p: (convert(v) if is_string(functions[row["fn"]][p]) else v) for p, v in row["args"].items()}
    out = finish(convert(row["text"]), args, row["fn"], "zh", row["src"], functions)
    if out:
        out["full"] = row["full"]
    return out


def main():
    here = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here.add_argument("--data", type=pathlib.Path, default=HERE.parents[2] / "shared" / "data")
    here.add_argument("--out", type=pathlib.Path, default=HERE / "work")
    here.add_argument("--seed", type=int, default=1)
    here.add_argument("--per-function", type=int, default=3000, help="Chinese rows a function (cloud and none: three times); English a third")
    args = here.parse_args()
    functions = load_functions(args.data)
    args.out.mkdir(parents=True, exist_ok=True)

    values = {}
    human = list(human_rows(args.data, functions, values))
    pools = {}
    for (_, param), found in values.items():
        pools.setdefault(param, set()).update(found)
    pools = {p: sorted(v)[:800] for p, v in pools.items() if p in ("song", "artist", "playlist", "genre")}
    templates = {lang: Templates(lang, functions, pools) for lang in ("zh", "en")}

    rows = {"human": human, "swap": list(swapped(human, values, functions, 15000, args.seed))}
    for lang in ("zh", "en"):
        made = []
        for fn in functions:
            count = args.per_function * (3 if fn in ("cloud", "none") else 1) // (1 if lang == "zh" else 3)
            made += templates[lang].rows(fn, count, args.seed)
        rows[lang] = made
    rows["hass"] = list(hass_rows(args.data, functions, templates, 120, args.seed))

    try:
        from opencc import OpenCC
    except ImportError:
        sys.exit("generate.py: pip install opencc-python-reimplemented (simplified to traditional characters)")
    converters = [OpenCC("s2t"), OpenCC("s2tw"), OpenCC("s2hk")]
    rng = seeded(args.seed, "traditional")
    rows["zh"] = [(rng.random() < 0.12 and traditional(r, converters, rng, functions)) or r for r in rows["zh"]]

    mapping = json.loads((args.data / "assistant" / "mapping.json").read_text(encoding="utf-8"))["sources"]["slurp"]
    rows["slurp-devel"] = [mapped_row(r, mapping, functions, "slurp") for r in
                           read_jsonl(args.data / "assistant" / "slurp-devel.jsonl.gz") if r["intent"] in mapping]
    for name, table in rows.items():
        with open(args.out / f"{name}.jsonl", "w", encoding="utf-8") as out:
            out.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in table)
        print(f"{name}: {len(table)} rows, {sum(r['full'] for r in table)} full")
    for lang, t in templates.items():
        if t.grammar.missing:
            print(f"{lang}: no lexicon named {sorted(t.grammar.missing)}")


if __name__ == "__main__":
    main()
