"""What training, evaluation and export share: the tokenizer, the wire format, and the model itself."""
import json
import math
import pathlib
import re
import sys

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
WORK = HERE / "work"
DATA = HERE.parents[2] / "shared" / "data"
CONTEXT = 512
VOCAB = 6144
# Ids of a gap's surroundings in training.
FIM_PREFIX, FIM_SUFFIX = 160, 60

# Qwen2's pre-tokenizer, so that engines split text as `tokenizer.ggml.pre = qwen2` tells them.
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# While merges are learned a Hanzi stands alone: no token spans two, so that any span of a request can be copied.
HAN_ALONE = r"\p{Han}|[^\p{Han}]+"


def load_functions(data=DATA):
    path = pathlib.Path(data) / "assistant" / "functions.json"
    if not path.exists():
        sys.exit(f"{path} is absent; pass the folder that holds assistant/functions.json as --data")
    functions = json.loads(path.read_text(encoding="utf-8"))["functions"]
    return {f["name"]: f["parameters"] for f in functions}


def special_tokens(functions):
    parameters = dict.fromkeys(p for params in functions.values() for p in params)
    return (["<|pad|>", "<|end|>", "<|user|>", "<|call|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
            + [f"<|fn:{name}|>" for name in functions] + [f"<|arg:{p}|>" for p in parameters])


def train_tokenizer(texts, functions, size=VOCAB):
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(QWEN2), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.Split(Regex(HAN_ALONE), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special_tokens(functions), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=24)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    return tokenizer


class Wire:
    """Rows to token ids and back: <|user|> text <|call|> <|fn:NAME|> (<|arg:P|> value)* <|end|>."""

    def __init__(self, tokenizer, functions):
        self.tokenizer, self.functions = tokenizer, functions
        ids = {t: tokenizer.token_to_id(t) for t in special_tokens(functions)}
        self.pad, self.end, self.user, self.call = (ids[f"<|{n}|>"] for n in ("pad", "end", "user", "call"))
        self.fim = [ids[f"<|fim_{n}|>"] for n in ("prefix", "suffix", "middle")]
        self.fn = {name: ids[f"<|fn:{name}|>"] for name in functions}
        self.fn_names = list(functions)
        self.fn_ids = [self.fn[n] for n in self.fn_names]
        self.arg = {t[6:-2]: i for t, i in ids.items() if t.startswith("<|arg:")}
        self.name_of = {i: n for n, i in self.fn.items()}
        self.param_of = {i: p for p, i in self.arg.items()}

    def encode(self, text):
        # Control tokens written out in a text are text.
        return self.tokenizer.encode(text.replace("<|", "< |"), add_special_tokens=False).ids

    def prompt(self, text):
        return [self.user] + self.encode(text) + [self.call]

    def answer(self, fn, args, text=""):
        """Ids of a call. A value that follows a blank in `text` keeps the blank: a word after a blank is another token
        than the word alone, and so the answer repeats the very tokens of the request."""
        ids = [self.fn[fn]]
        for param in self.functions[fn]:
            if param in args:
                value = args[param]
                ids += [self.arg[param]] + self.encode(" " + value if f" {value}" in text else value)
        return ids + [self.end]

    def gap(self, prefix, suffix):
        """A gap in code with what follows it first, so that the middle simply goes on from the prefix (the joint SPM order
        of Bavarian et al. 2022, https://arxiv.org/abs/2207.14255; export.py says so in the file)."""
        p, s, m = self.fim
        return [p, s] + self.encode(suffix)[:FIM_SUFFIX] + [m] + self.encode(prefix)[-FIM_PREFIX:]

    def parse(self, ids):
        """(function, {param: value}) of an answer's ids, or None where it is not well formed."""
        if not ids or ids[0] not in self.name_of:
            return None
        fn, args, current = self.name_of[ids[0]], {}, None
        for i in ids[1:]:
            if i == self.end:
                return fn, {p: self.tokenizer.decode(v).strip() for p, v in args.items()}
            if i in self.param_of:
                current = args.setdefault(self.param_of[i], [])
            elif current is None:
                return None
            else:
                current.append(i)
        return None


# ---- the model: llama ------------------------------------------------------------------------------

CONFIG = dict(vocab=VOCAB, width=256, layers=5, heads=8, kv_heads=4, ff=768, rope_base=10000.0, eps=1e-5)


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    """Rotary positions on neighbouring pairs, as llama.cpp's llama architecture has them."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, c, dropout):
        super().__init__()
        width, self.heads, self.kv_heads = c["width"], c["heads"], c["kv_heads"]
        self.head = width // self.heads
        self.attn_norm, self.ffn_norm = RmsNorm(width, c["eps"]), RmsNorm(width, c["eps"])
        linear = lambda a, b: nn.Linear(a, b, bias=False)
        self.q, self.k, self.v = linear(width, width), linear(width, self.kv_heads * self.head), linear(width, self.kv_heads * self.head)
        self.o, self.gate, self.up, self.down = linear(width, width), linear(width, c["ff"]), linear(width, c["ff"]), linear(c["ff"], width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cos, sin):
        b, t, width = x.shape
        h = self.attn_norm(x)
        split = lambda y, n: y.view(b, t, n, self.head).transpose(1, 2)
        q, k, v = split(self.q(h), self.heads), split(self.k(h), self.kv_heads), split(self.v(h), self.kv_heads)
        # In f32: the bfloat16 attention of PyTorch's CPU backend is several times slower backwards.
        q, k, v = rotate(q.float(), cos, sin), rotate(k.float(), cos, sin), v.float()
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        with torch.autocast("cpu", enabled=False):
            y = self.attend(q, k, v, b, t, width)
        x = x + self.o(y)
        h = self.ffn_norm(x)
        return x + self.dropout(self.down(F.silu(self.gate(h)) * self.up(h)))

    @staticmethod
    def attend(q, k, v, b, t, width):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, width)


class Llama(nn.Module):
    def __init__(self, config=CONFIG, dropout=0.0):
        super().__init__()
        c = self.config = dict(config)
        self.embed = nn.Embedding(c["vocab"], c["width"])
        self.blocks = nn.ModuleList(Block(c, dropout) for _ in range(c["layers"]))
        self.norm, self.dropout = RmsNorm(c["width"], c["eps"]), nn.Dropout(dropout)
        half = c["width"] // c["heads"] // 2
        angle = torch.outer(torch.arange(CONTEXT).float(), c["rope_base"] ** (-torch.arange(half).float() / half))
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 1 / math.sqrt(2 * c["layers"]) if name.endswith(("o.weight", "down.weight")) else 1.0
                nn.init.normal_(p, std=0.04 * scale)

    def hidden(self, ids):
        """Normalised states; the logits are these times the (tied) embedding."""
        x = self.dropout(self.embed(ids))
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def forward(self, ids):
        return F.linear(self.hidden(ids), self.embed.weight)


def load_rows(name, work=WORK):
    path = pathlib.Path(work) / f"{name}.jsonl"
    if not path.exists():
        sys.exit(f"{path} is absent: run generate.py first")
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def load_devel(work=WORK):
    """slurp-devel's rows; `seen` where a training row has the same words (HWU64 and SLURP share sentences)."""
    plain = lambda text: re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()
    seen = {plain(r["text"]) for r in load_rows("human", work)}
    return [{**r, "seen": plain(r["text"]) in seen} for r in load_rows("slurp-devel", work)]


def function_scores(model, wire, texts, batch=64):
    """Scores of the 39 functions for each text, at the position that predicts the function."""
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.empty(len(texts), len(wire.fn_ids))
    with torch.no_grad():
        table = model.embed.weight[torch.tensor(wire.fn_ids)]
        for start in range(0, len(order), batch):
            index = order[start:start + batch]
            ids = [wire.prompt(texts[i])[-CONTEXT:] for i in index]
            length = max(map(len, ids))
            padded = torch.tensor([row + [wire.pad] * (length - len(row)) for row in ids])
            h = model.hidden(padded)
            last = h[torch.arange(len(ids)), torch.tensor([len(r) - 1 for r in ids])]
            out[index] = F.linear(last, table)
    return out


def accuracy(model, wire, rows):
    scores = function_scores(model, wire, [r["text"] for r in rows])
    gold = torch.tensor([wire.fn_names.index(r["fn"]) for r in rows])
    return (scores.argmax(-1) == gold).float().mean().item()
