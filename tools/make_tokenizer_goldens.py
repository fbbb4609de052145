"""Writes tests/golden/tokenizer/NAME.json: token ids of hard strings, as llama.cpp has them.

  pip install llama-cpp-python==0.3.36
  python tools/make_tokenizer_goldens.py ~/.cache/retort/models tests/golden/tokenizer [--check build/release/retort]

Each file is a list of {"text": ..., "ids": [...], "plain": [...]}: with special tokens parsed and without, no BOS added.
--check compares the program with llama.cpp on many random strings, too.
"""
import argparse
import ctypes
import json
import pathlib
import random
import subprocess
import sys

import llama_cpp

FILES = {
    "smollm2-135m": "smollm2-135m-instruct-q4_1.gguf",
    "gemma3-270m": "gemma-3-270m-q4_k_m.gguf",
    "qwen2.5-coder-0.5b": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
}

STRINGS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n \n", "\t", "\t\t", "\r\n", "\r\n\r\n", " \n", "\n ", "   \n   ", "a", " a", "a ", "  a",
    "Hello, world!", " Hello", "Hello  world", "Hello   world   ", "Hello\tworld", "Hello\n\n\nworld",
    "I'm you're we've he'll she'd it's don't", "I'M YOU'RE WE'VE", "rock'n'roll 'tis 's", "'''", "can’t won’t",
    "1", "12", "123", "1234", "12345678901234567890", "3.14159", "1,000,000", "1 2 3", "v1.2.3-rc4", "0x1F 0b101 1e-10",
    "١٢٣٤٥", "१२३", "²³¹", "½ ⅔ Ⅻ", "№ 5 ℃",
    "café", "cafe\u0301", "naïve résumé", "ÀÉÎÕÜ", "ß ẞ ſ", "İi ıI", "Straße Größe",
    "Привет, мир!", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "안녕하세요 세계", "你好，世界！", "こんにちは世界",
    "カタカナ ひらがな 漢字", "Chào thế giới", "გამარჯობა", "Բարեւ", "ሰላም ልዑል", "ᠮᠣᠩᠭᠣᠯ", "བོད་སྐད", "𐍈𐌰𐌹𐍂", "𝕳𝖊𝖑𝖑𝖔", "ﬁ ﬂ ﷺ",
    "😀", "😀😃😄", "👨‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈", "🇩🇪🇫🇷", "1️⃣", "❤️", "a😀b", "☃★♥", "∑∫√∞≠", "→⇒↔", "░▒▓█", "┌─┐",
    "\u00a0", "a\u00a0b", "\u2003\u2003", "\u3000", "\u200b", "a\u200db", "\u202eabc\u202c", "\ufeff", "\ufeffabc", "\u2028\u2029", "\x85",
    "\x01\x02\x03", "\x1b[31mred\x1b[0m", "\x7f", "a\x08b\x0cc\x0bd", "\x00", "a\x00b",
    "def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n}", "#include <vector>\r\nint main() {}",
    "SELECT * FROM t WHERE a = 'b''c';", "{\"key\": [1, 2.5, null, true]}", "<div class=\"x\">&nbsp;</div>", "/* c */ // d\n# e",
    "    indented\n        more\n            most", "a\n\n\n\n\nb", "x = [[0]*10 for _ in range(10)]", "$HOME/.config/x-y_z.json",
    "https://example.com/a?b=c&d=%20e#f", "user.name+tag@example.co.uk", "C:\\Users\\x\\y.txt", "\\n\\t\\u00e9",
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE", "HTTPServer XMLHttpRequest iPhone", "ALLCAPSWORDS",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaftskapitän", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!???...", "---===***", "((((()))))", "…‥—–-", "“quoted” ‘single’ «guillemets»", "a.b,c;d:e", "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
    "<|im_start|>user\nHi<|im_end|>\n", "<|endoftext|>", "a<|im_end|>b", "<|im_end|><|im_end|>", "<|im_end", "<bos>", "<eos>hello", "<start_of_turn>user\nHi<end_of_turn>\n",
    "<unk>", "<pad>", "<mask>", "<s>", "</s>", "[INST]", " <|im_end|> ", "<|fim_prefix|>def f<|fim_suffix|>", "<tool_call>{}</tool_call>", "<unused0>", "<0x0A>",
    "<h1><table><tr>", "[toxicity=0]", "▁", "a▁b", "▁▁", "Ġ", "ĠHello", "Ċ", "Ã©",
    "The quick brown fox jumps over the lazy dog. " * 3, " ".join(str(i) for i in range(60)), "ab" * 300, " " * 70, "\n" * 40, "é" * 50, "漢" * 50,
    "mixed 漢字 and кириллица 123 😀 text\twith\neverything  ", "𠀀𠀁𠀂", "\U0010ffff", "\ue000", "Z̷̢͓a̶l̵g̸o̷",
]


class Vocabulary:
    def __init__(self, path):
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def encode(self, text, special):
        data = text.encode("utf-8", "surrogatepass")
        room = 2 * len(data) + 16
        ids = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), ids, room, False, special)
        assert count >= 0, text
        return list(ids[:count])


def random_string(rng):
    ranges = [(0x20, 0x7e), (0x20, 0x40), (0x41, 0x5a), (0x61, 0x7a), (0x00, 0x1f), (0xa0, 0x17f), (0x300, 0x36f), (0x370, 0x5ff), (0x600, 0x6ff),
              (0x900, 0xdff), (0xe00, 0xfff), (0x1e00, 0x206f), (0x2070, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x9fff),
              (0xac00, 0xd7a3), (0xfb00, 0xfdff), (0xfe00, 0xffef), (0x10000, 0x1f9ff), (0x20000, 0x2ffff)]
    out = ""
    while rng.random() < 0.93 and len(out) < 400:
        kind = rng.random()
        if kind < 0.15:
            out += rng.choice([" ", "  ", "\n", "\t", "\r\n", " \n ", "\u00a0", "\u3000", "   "])
        elif kind < 0.22:
            out += rng.choice(["'s", "'LL", "’t", "<|im_end|>", "<bos>", "<", "|>", "123", "١٢", "▁", "Ġ"])
        elif kind < 0.4:
            out += rng.choice(["hello", "World", "the", "ing", "return", "über", "мир", "漢字", "😀", "मन", "e\u0301"])
        else:
            low, high = rng.choice(ranges)
            for _ in range(rng.randint(1, 6)):
                out += chr(rng.randint(low, high))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--check", help="the program, to be compared on random strings")
    parser.add_argument("--count", type=int, default=3000)
    args = parser.parse_args()
    failures = 0
    for name, file in FILES.items():
        vocabulary = Vocabulary(args.models / file)
        cases = [{"text": s, "ids": vocabulary.encode(s, True), "plain": vocabulary.encode(s, False)} for s in STRINGS]
        lines = ",\n".join(json.dumps(case) for case in cases)
        (args.output / f"{name}.json").write_text(f"[\n{lines}\n]\n")
        print(f"{name}: {len(cases)} strings", flush=True)
        if not args.check:
            continue
        rng = random.Random(7)
        strings = STRINGS + [random_string(rng) for _ in range(args.count)]
        text = "\n".join(json.dumps(s) for s in strings)
        out = subprocess.run([args.check, "tokenize", str(args.models / file), "--lines", "--json"], input=text,
                             capture_output=True, text=True, check=True).stdout.splitlines()
        assert len(out) == len(strings)
        for string, line in zip(strings, out):
            ours, theirs = json.loads(line)["ids"], vocabulary.encode(string, True)
            if ours != theirs:
                failures += 1
                if failures < 40:
                    print(f"FAIL {name} {string!r}\n  ours   {ours}\n  theirs {theirs}")
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
