"""Compares this program's tokenizer with llama.cpp's on random strings and on every character.

  pip install llama-cpp-python==0.3.36
  python tools/compare_tokenizer.py MODEL.gguf [--retort build/release/retort] [--count 20000] [--seed 1]

Random strings mix runs of many scripts, digits, punctuation, white space, control and private characters, emoji,
contractions, code and texts of special tokens; each is encoded with special tokens and without. Then every character of
Unicode but surrogates, and 0, which llama.cpp's interface ends a text at, stands between others. Prints the first
differences; exit code 1 when there are any.
"""
import argparse
import json
import random
import subprocess
import sys

import llama_cpp


def characters(*ranges):
    return [chr(code) for first, last in ranges for code in range(first, last)]


POOLS = [
    characters((0x61, 0x7b), (0x41, 0x5b)), list(" \t\n\r\u00a0\u3000\u2003"), list("0123456789٣४๔²½Ⅷ"), list("'’`\""),
    list(".,;:!?-_/\\()[]{}<>@#$%^&*+=|~"), characters((0x400, 0x460)), characters((0x4e00, 0x4e60)), characters((0x3040, 0x30a0)),
    characters((0xac00, 0xac40)), characters((0x900, 0x950)), characters((0x600, 0x660)), characters((0x300, 0x340)),
    characters((0x1f600, 0x1f640)) + list("\u200d\ufe0f🏽👩💻"), characters((1, 32)), characters((0xe000, 0xe010)) + list("\ufffd\uffff\U0010ffff"),
    characters((0x1d400, 0x1d440)), ["'s", "'LL", "don't", "I'VE", " the", " and", "    ", "\n\n\n", "def f(x):\n    return x", "12345678901"],
    ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<bos>", "<eos>", "<start_of_turn>", "<unused5>", "<0x0A>", "▁", "<s>", "</s>"],
    characters((0x80, 0x3000)), characters((0x80, 0xd800), (0xe000, 0x110000)),
]
PATTERNS = ("{}'s", " {}!", "\n{} ", "x{}x", "1{}1")


def random_string(source):
    return "".join(piece for _ in range(source.randint(1, 8)) for piece in source.choices(source.choice(POOLS), k=source.randint(1, 5)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--retort", default="build/release/retort")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    reference = llama_cpp.Llama(options.model, vocab_only=True, verbose=False)
    source = random.Random(options.seed)
    strings = [random_string(source) for _ in range(options.count)]
    every = characters((1, 0xd800), (0xe000, 0x110000))
    runs = [("special tokens", strings, [], True), ("plain", strings, ["--no-special"], False)]
    runs += [(json.dumps(pattern), [pattern.format(c) for c in every], [], True) for pattern in PATTERNS]
    differing = 0
    for name, texts, arguments, special in runs:
        lines = subprocess.run([options.retort, "tokenize", options.model, "--json", "--lines", *arguments], check=True, text=True,
                               input="".join(json.dumps(text) + "\n" for text in texts), capture_output=True).stdout.splitlines()
        assert len(lines) == len(texts), f"{len(lines)} answers to {len(texts)} texts"
        wrong = 0
        for text, line in zip(texts, lines):
            ids, expected = json.loads(line)["ids"], reference.tokenize(text.encode(), add_bos=False, special=special)
            if ids != expected:
                wrong += 1
                if wrong <= 3:
                    print(f"  {text!r}: {ids}, llama.cpp: {expected}")
        print(f"{name}: {wrong} of {len(texts)} differ", flush=True)
        differing += wrong
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
