"""How often this program's greedy choice is another than llama.cpp's, beside how often llama.cpp's own is when it
computes the same in another order: with flash attention, and with all tokens in one batch instead of one by one.

  pip install llama-cpp-python==0.3.36
  python tools/compare_llama_cpp_itself.py MODEL.gguf [MODEL.gguf ...] [--retort build/release/retort]
  python tools/compare_llama_cpp_itself.py MODEL.gguf --quantize all

Both programs round activations to eight bits, so the last bit of a sum moves logits by some tenths. Each step of forty
greedy continuations is judged behind the same tokens. Prints one line per file: of how many steps each chooses
otherwise, and at which of them llama.cpp's two best logits are 0.3 or more apart.
"""
import argparse
import os
import sys

import llama_cpp
import numpy as np

from compare_llama_cpp import NEAR_TIE, PROMPTS, best_tokens, greedy, quantized, types

MORE_PROMPTS = [
    "The best way to learn a language is", "Dear Sir or Madam,", "In 1969, humans", "import numpy as np\n",
    "Ingredients: 2 eggs,", "The stock market", "Photosynthesis is", "My favourite book", "She opened the door and",
    "To install the package, run", "The French Revolution began", "A triangle with sides", "Breaking news:",
    "Once the data is cleaned", "SELECT name FROM", "The doctor said", "Les enfants jouent", "The mitochondria",
    "Chapter 1\n", "Customer: My order has not arrived.\nAgent:", "There are three reasons",
    "The temperature of the sun", "class Node:\n    def", "He was born in", "Roses are red,", "The algorithm works by",
    "Monday, Tuesday,", "In conclusion,", "Tokyo is", "Question: What is 7 times 8?\nAnswer:", "The Roman Empire",
    "The cat sat on",
]


def one_by_one(llm, ids, tokens):
    """The best token after `ids` and after each of `tokens` but the last."""
    llm.reset()
    llm.eval(ids)
    best = []
    for token in tokens:
        best.append(int(np.argmax(llm.scores[llm.n_tokens - 1])))
        llm.eval([token])
    return best


def in_one_batch(llm, ids, tokens):
    llm.reset()
    llm.eval(ids + tokens)
    return [int(np.argmax(llm.scores[len(ids) - 1 + i])) for i in range(len(tokens))]


def compare(args, model, name):
    def load(**options):
        return llama_cpp.Llama(model, n_ctx=256, n_batch=512, n_ubatch=512, logits_all=True, n_threads=args.threads,
                               n_threads_batch=args.threads, verbose=False, **options)

    reference, flash = load(), load(flash_attn=True)
    gaps = {"retort": [], "flash attention": [], "one batch": []}
    num_steps = 0
    for prompt in PROMPTS + MORE_PROMPTS:
        ids = reference.tokenize(prompt.encode(), add_bos=True, special=True)
        steps = greedy(reference, ids, args.tokens)
        tokens = [token for token, _ in steps]
        choices = {
            "retort": best_tokens(args.retort, model, ids + tokens)[len(ids) - 1:-1],
            "flash attention": one_by_one(flash, ids, tokens),
            "one batch": in_one_batch(reference, ids, tokens),
        }
        for who, chosen in choices.items():
            gaps[who] += [gap for choice, (token, gap) in zip(chosen, steps) if choice != token]
        num_steps += len(steps)
    print(f"{name}: {num_steps} steps; " + "; ".join(
        f"{who} {len(found)}" + "".join(f", {gap:.3f}" for gap in sorted(found) if gap >= NEAR_TIE)
        for who, found in gaps.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--quantize", metavar="TYPES", help="the models in these types, or in all of them")
    parser.add_argument("--retort", default="build/release/retort")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for model in args.models:
        name = os.path.basename(model)
        if not args.quantize:
            compare(args, model, name)
            continue
        for dtype in types(args.quantize):
            with quantized(args.retort, model, dtype) as (written, _):
                compare(args, written, f"{name} as {dtype}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
