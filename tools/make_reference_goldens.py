"""Writes tests/golden/reference/NAME.json: greedy continuations and perplexity of the catalogue's models in llama.cpp.

  pip install llama-cpp-python==0.3.36
  python tools/make_reference_goldens.py ~/.cache/retort/models tests/golden/reference [NAME ...]
      [--retort build/release/retort]

Each step of a continuation is [token, second best token, difference of their logits, the same difference when
llama.cpp computes with the same weights stored as F32]: llama.cpp rounds activations to eight bits, too, and is up to
0.4 off its own F32. The perplexity is of the first windows of the text in the same folder, computed as llama.cpp's
perplexity tool does.
"""
import argparse
import json
import pathlib

import llama_cpp
import numpy as np

from compare_llama_cpp import PROMPTS, llama_perplexity, load_exact
from make_tokenizer_goldens import FILES

STEPS, CONTEXT, CHUNKS = 24, 512, 8
TEXT = "state-of-the-union-1989.txt"


def load(model):
    return llama_cpp.Llama(model, n_ctx=CONTEXT + 8, n_batch=512, n_ubatch=512, logits_all=True, n_threads=2,
                           n_threads_batch=2, verbose=False)


def continuation(llm, prompt):
    ids = llm.tokenize(prompt.encode(), add_bos=True, special=True)
    llm.reset()
    llm.eval(ids)
    steps = []
    for _ in range(STEPS):
        logits = llm.scores[llm.n_tokens - 1]
        first, second = (int(token) for token in np.argsort(-logits, kind="stable")[:2])
        steps.append([first, second, round(float(logits[first] - logits[second]), 3)])
        llm.eval([first])
    return {"prompt": prompt, "ids": ids, "steps": steps}


def add_exact_gaps(llm, continuations):
    """Appends to each step by how much its token's logit is above the second's in `llm`, the same model in F32."""
    for continuation in continuations:
        steps = continuation["steps"]
        llm.reset()
        llm.eval(continuation["ids"])
        for step in steps:
            logits = llm.scores[llm.n_tokens - 1]
            step.append(round(float(logits[step[0]] - logits[step[1]]), 3))
            llm.eval([step[0]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(FILES))
    parser.add_argument("--retort", default="build/release/retort", help="writes the model in F32")
    args = parser.parse_args()
    text = (args.output / TEXT).read_text(encoding="utf-8")
    for name in args.names:
        model = str(args.models / FILES[name])
        llm = load(model)
        continuations = [continuation(llm, prompt) for prompt in PROMPTS]
        value = llama_perplexity(llm, text, CONTEXT, CHUNKS)
        perplexity = {"text": TEXT, "context": CONTEXT, "chunks": CHUNKS, "value": round(value, 5)}
        add_exact_gaps(load_exact(args.retort, model, load), continuations)
        lines = ",\n".join("  " + json.dumps(c) for c in continuations)
        (args.output / f"{name}.json").write_text(
            f'{{\n "file": {json.dumps(FILES[name])},\n "perplexity": {json.dumps(perplexity)},\n "continuations": [\n{lines}\n ]\n}}\n')
        print(f"{name}: perplexity {value:.4f}", flush=True)


if __name__ == "__main__":
    main()
