"""Writes work/table.bin, the file that `crates/rag/src/table/file.rs` reads, and the fixture which holds the Rust reader and
tokenizer to this one. Entries that no training text moved far from nothing are kept: they cost a row each, and say so."""
import argparse
import json
import struct

import numpy as np
import xxhash

from common import HERE, WORK, Splitter

TEXTS = ["how do I read a file line by line", "HashMap<String, Vec<u8>>::readToString", "如何在线程之间共享数据",
         "用 println! 打印一个向量", "ＨＴＴＰ２ 請求 and Élan, qwzxkjv copies stopped", "batch_norm1d(x); // 批量规范化"]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--table", default="table")
    args = args.parse_args()
    table = np.load(WORK / f"{args.table}.npy").astype(np.float32)
    entries = json.load(open(WORK / "entries.json"))
    count, width = table.shape
    assert count == len(entries) <= 1 << 16 and 8 <= width <= 256
    scales = np.maximum(np.abs(table).max(1), 1e-12).astype(np.float32) / np.float32(127)
    rows = np.clip(np.round(table / scales[:, None]), -127, 127).astype(np.int8)
    text = "".join(e + "\n" for e in entries).encode()
    body = text + scales.astype("<f4").tobytes() + rows.tobytes()
    head = b"ondtable" + struct.pack("<IIIIQ", 1, width, count, len(text), xxhash.xxh3_64_intdigest(body))
    (WORK / "table.bin").write_bytes(head + body)
    splitter, steps = Splitter(entries), rows.astype(np.float32) * scales[:, None]
    fixture = []
    for t in TEXTS:
        ids = splitter.ids(t)
        u, n = np.unique(ids, return_counts=True)
        v = (steps[u] * np.sqrt(n)[:, None]).sum(0)
        v /= np.linalg.norm(v)
        fixture.append({"text": t, "ids": ids, "vector": [round(float(x), 6) for x in v]})
    with open(WORK / "fixture.json", "w", encoding="utf-8") as f:
        json.dump(fixture, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    print(f"{count} rows of {width}: {len(head + body) / 2**20:.2f} MiB, in {WORK.name}/table.bin")


if __name__ == "__main__":
    main()
