"""Compares this program with llama.cpp on a model file: greedy continuations and perplexity.

  pip install llama-cpp-python==0.3.36
  python tools/compare_llama_cpp.py MODEL.gguf --text speech.txt [--retort build/release/retort] [--chunks 8]
      [--quantize Q8_0,Q4_K | --quantize all]

Continuations of eight prompts must equal llama.cpp's token for token, except that from a step on where llama.cpp's two
best logits differ by less than 0.3 either choice is right, and the comparison goes on with llama.cpp's. Perplexity over
the first windows of 512 tokens of the text must be within 0.5%.

With --quantize the program first stores the model in each of the types, llama.cpp must load what it wrote, and the
checks are of those files; perplexity in Q8_0 must be within 1% of the given file's. A choice is then also right where
the two tokens are less than 0.3 apart when llama.cpp computes with the same weights stored as F32: both programs round
activations to eight bits, each in its own way, and on such files llama.cpp itself leaves its F32 choice at gaps of up
to 0.41.

Prints one line per check; exit code 1 when one fails.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def quicksort(items):\n",
    "Water boils at",
    "Q: What is the largest planet?\nA:",
    "1, 1, 2, 3, 5, 8,",
    "Sehr geehrte Damen und Herren,",
    "{\"name\": \"Alice\", \"age\": 30, \"city\":",
]
NEAR_TIE = 0.3
TYPES = "F32,F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q4_K,Q5_K,Q6_K"


def greedy(llm, ids, count):
    """llama.cpp's greedy tokens after `ids`, with the gap between its two best logits at each step."""
    llm.reset()
    llm.eval(ids)
    steps = []
    for _ in range(count):
        logits = llm.scores[llm.n_tokens - 1]
        second, first = np.sort(np.partition(logits, -2)[-2:])
        steps.append((int(np.argmax(logits)), float(first - second)))
        llm.eval([steps[-1][0]])
    return steps


def run_retort(retort, model, prompt_text, count):
    out = subprocess.run([retort, "run", model, "--raw", "--json", "--max-tokens", str(count), "-p", prompt_text],
                         capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def best_tokens(retort, model, ids):
    """Our best token after each of `ids`."""
    out = subprocess.run([retort, "logits", model, "--ids", ",".join(map(str, ids)), "--all", "--top", "1", "--json"],
                         capture_output=True, text=True, check=True)
    return [top[0][0] for top in json.loads(out.stdout)["positions"]]


@contextlib.contextmanager
def quantized(retort, model, dtype):
    """A temporary file with the model's weights stored in this type, and what `quantize` printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"{dtype}.gguf")
        yield path, subprocess.run([retort, "quantize", model, path, "--type", dtype, "--json"],
                                   capture_output=True, text=True, check=True)


def types(wanted):
    return (TYPES if wanted == "all" else wanted).split(",")


def load_exact(retort, model, load):
    """load(path) of a temporary file with the model's weights stored as F32."""
    with quantized(retort, model, "F32") as (path, _):
        return load(path)


class Exact:
    """llama.cpp's logits from the weights of a quantized file stored as F32; written and loaded when first needed."""

    def __init__(self, args, model):
        self.args, self.model, self.llm = args, model, None

    def gap(self, ids, token, other):
        """By how much the logit of `token` lies above that of `other` after `ids`."""
        if self.llm is None:
            self.llm = load_exact(self.args.retort, self.model, lambda path: llama_cpp.Llama(
                path, n_ctx=256, logits_all=True, n_threads=self.args.threads, verbose=False))
        self.llm.reset()
        self.llm.eval(ids)
        logits = self.llm.scores[self.llm.n_tokens - 1]
        return float(logits[token] - logits[other])


def check_continuation(llm, args, model, prompt, exact):
    ours = run_retort(args.retort, model, prompt, args.tokens)
    ids = ours["prompt_ids"]
    theirs = llm.tokenize(prompt.encode(), add_bos=True, special=True)
    if ids != theirs:
        return False, f"prompt ids differ: {ids} against {theirs}"
    steps = greedy(llm, ids, args.tokens)
    tokens = [step[0] for step in steps]
    # As far as the texts agree, our own choices; then our choices behind llama.cpp's tokens.
    choices = ours["token_ids"][:args.tokens]
    agree = next((i for i, (a, b) in enumerate(zip(choices, tokens)) if a != b), None)
    if agree is not None:
        best = best_tokens(args.retort, model, ids + tokens)
        choices = choices[:agree + 1] + best[len(ids) + agree:len(ids) + len(tokens) - 1]
    ties, exact_ties = 0, 0
    for i, (choice, (token, gap)) in enumerate(zip(choices, steps)):  # ours may have ended, as a program should
        if choice == token:
            continue
        ties += 1
        if gap < NEAR_TIE:
            continue
        message = f"step {i}: {choice} against {token}, llama.cpp's gap {gap:.3f}"
        if exact is None:
            return False, message
        exact_gap = exact.gap(ids + tokens[:i], token, choice)
        if not exact_gap < NEAR_TIE:
            return False, f"{message}, in F32 {exact_gap:.3f}"
        exact_ties += 1
    return True, f"{len(choices)} tokens, {ties} near-ties" + (f", {exact_ties} of them in F32" if exact_ties else "")


def llama_perplexity(llm, text, context, chunks):
    """As llama.cpp's perplexity tool: BOS in place of each window's first token, second halves scored."""
    ids = llm.tokenize(text.encode(), add_bos=True, special=False)
    bos = llm.token_bos()
    add_bos = ids[0] == bos
    total, count = 0.0, 0
    for chunk in range(min(chunks, len(ids) // context)):
        window = ids[chunk * context:(chunk + 1) * context]
        if add_bos:
            window[0] = bos
        llm.reset()
        llm.eval(window)
        logits = llm.scores[:context].astype(np.float64)
        for i in range(context // 2, context - 1):
            row = logits[i]
            peak = row.max()
            total += peak + np.log(np.exp(row - peak).sum()) - row[window[i + 1]]
            count += 1
    return float(np.exp(total / count))


def retort_perplexity(args, model):
    out = subprocess.run([args.retort, "perplexity", model, args.text, "--context", str(args.context), "--chunks",
                          str(args.chunks), "--json"], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)["perplexity"]


def check_model(args, model):
    """The number of failures, and our perplexity when there is a text."""
    llm = llama_cpp.Llama(model, n_ctx=args.context + 8, n_batch=512, n_ubatch=512, logits_all=True,
                          n_threads=args.threads, n_threads_batch=args.threads, verbose=False)
    failures = 0
    exact = Exact(args, model) if args.quantize else None
    for prompt in PROMPTS:
        good, message = check_continuation(llm, args, model, prompt, exact)
        failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {prompt!r}: {message}", flush=True)
    if not args.text:
        return failures, None
    with open(args.text, encoding="utf-8") as file:
        theirs = llama_perplexity(llm, file.read(), args.context, args.chunks)
    ours = retort_perplexity(args, model)
    ratio = ours / theirs
    good = abs(ratio - 1) <= 0.005
    failures += not good
    print(f"{'ok  ' if good else 'FAIL'} perplexity {ours:.4f} against {theirs:.4f}: {100 * (ratio - 1):+.3f}%", flush=True)
    return failures, ours


def check_quantized(args):
    source = retort_perplexity(args, args.model) if args.text else None
    failures = 0
    for dtype in types(args.quantize):
        with quantized(args.retort, args.model, dtype) as (model, out):
            print(f"{dtype}: {json.loads(out.stdout)['bits_per_weight']:.2f} bits per weight {out.stderr.strip()}", flush=True)
            failed, perplexity = check_model(args, model)
            failures += failed
            if source is not None:
                change = perplexity / source - 1
                good = dtype != "Q8_0" or abs(change) <= 0.01
                failures += not good
                print(f"{'ok  ' if good else 'FAIL'} {dtype} perplexity is {100 * change:+.2f}% off the source's", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--text", help="a text file for the perplexity, e.g. a State of the Union address")
    parser.add_argument("--quantize", metavar="TYPES", help="check the model in these types, or in all of them")
    parser.add_argument("--retort", default="build/release/retort")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    failures = check_quantized(args) if args.quantize else check_model(args, args.model)[0]
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
