#!/usr/bin/env python3
"""The linear classifier that droplet is held against, and droplet's teacher: TF-IDF of words and characters, then a
linear support vector machine, on the same mapped human rows.

  linear.py [--work work]          accuracy on slurp-devel, and out-of-fold probabilities into work/teacher.npz

Droplet sees the out-of-fold probabilities as soft labels of the function token; a row's own fold never saw the row.
"""
import argparse
import pathlib

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from common import DATA, WORK, load_functions, load_rows


def classifier():
    features = make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
                          TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2))
    return make_pipeline(features, LinearSVC(C=0.5))


def texts_of(rows):
    return [r["text"].lower() for r in rows]


def softmax(scores, sharpness):
    e = np.exp(sharpness * (scores - scores.max(1, keepdims=True)))
    return e / e.sum(1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    args = parser.parse_args()
    names = list(load_functions(args.data))
    human, devel = load_rows("human", args.work), load_rows("slurp-devel", args.work)
    x, y = np.array(texts_of(human), dtype=object), np.array([names.index(r["fn"]) for r in human])
    model = classifier().fit(x, y)
    right = model.predict(texts_of(devel)) == [names.index(r["fn"]) for r in devel]
    print(f"linear classifier: slurp-devel {right.mean():.4f} of {len(devel)}", flush=True)
    scores = np.full((len(human), len(names)), -3.0)
    for fit, hold in StratifiedKFold(5, shuffle=True, random_state=1).split(x, y):
        part = classifier().fit(x[fit], y[fit])
        scores[np.ix_(hold, part.classes_)] = part.decision_function(x[hold])
    # The sharpness that makes the held-out probabilities the most likely.
    best = min((1, 1.5, 2, 2.5, 3, 4, 5, 6), key=lambda s: -np.log(softmax(scores, s)[np.arange(len(y)), y] + 1e-9).mean())
    p = softmax(scores, best)
    print(f"out of fold: accuracy {(p.argmax(1) == y).mean():.4f}, sharpness {best}")
    np.savez_compressed(args.work / "teacher.npz", probabilities=p.astype(np.float16))


if __name__ == "__main__":
    main()
