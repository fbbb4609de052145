#!/usr/bin/env python3
"""Writes tests/golden/metrics.json: what scikit-learn, numpy and rouge_score make of the same rows. Needs those three."""
import json
import pathlib

import numpy as np
from rouge_score import rouge_scorer
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

ROOT = pathlib.Path(__file__).parent.parent


def calibration_error(right, confidence, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


def classification(generator, rows, labels, never):
    """`never`: labels that nothing expects, and of which half are never predicted either."""
    expected = generator.integers(0, labels - never, rows)
    predicted = np.where(generator.random(rows) < 0.6, expected, generator.integers(0, labels - never // 2, rows))
    confidence = np.round(generator.random(rows) ** 0.3, 6)
    confidence[0] = 1.0
    return {
        "expected": expected.tolist(), "predicted": predicted.tolist(), "confidence": confidence.tolist(), "labels": labels,
        "accuracy": accuracy_score(expected, predicted), "macro_f1": f1_score(expected, predicted, average="macro"),
        "confusion": confusion_matrix(expected, predicted, labels=range(labels)).ravel().tolist(),
        "calibration_error": calibration_error(expected == predicted, confidence),
    }


PAIRS = [
    ("the cat sat on the mat", "the cat was on the mat"),
    ("the cat sat on the mat", "mat the on sat cat the"),
    ("Nostalgia bucklespring keyboard sound", "Sounds of a bucklespring keyboard, for nostalgia"),
    ("SAX-based Java RDFa parser", "java rdfa PARSER (sax based)"),
    ("a a a b", "a b a"),
    ("one", "one"),
    ("one", "two"),
    ("", "words"),
    ("words", ""),
    ("!!!", "???"),
    ("naïve café in Zürich", "naive cafe in Zurich"),
    ("C++20 library 1.2.3", "c 20 library, version 1 2 3"),
    ("tab\tand\nnew line", "tab and new line"),
    ("x y x y x", "y x y x y x y"),
]


def main():
    generator = np.random.default_rng(5)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    rouge = []
    for reference, answer in PAIRS:
        scores = scorer.score(reference, answer)
        rouge.append({"reference": reference, "answer": answer, **{name: score.fmeasure for name, score in scores.items()}})
    golden = {"classification": [classification(generator, 60, 5, 0), classification(generator, 200, 14, 4),
                                 classification(generator, 3, 2, 0)], "rouge": rouge}
    (ROOT / "tests/golden/metrics.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
