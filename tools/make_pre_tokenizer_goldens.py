"""Writes tests/golden/pre_tokenizer.json: how the splitting rules of common tokenizers cut hard strings into words.

  pip install tokenizers
  python tools/make_pre_tokenizer_goldens.py tests/golden/pre_tokenizer.json

The rules are those of the models' tokenizer.json files, run by Hugging Face's own implementation.
"""
import json
import pathlib
import sys

from tokenizers import Regex, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
             r"\s*[\r\n]+|\s+(?!\S)|\s+")
CAMEL = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+{0}|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*{0}|")
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = CAMEL.replace("{0}", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?") + r"\p{N}{1,3}" + REST
TEKKEN = CAMEL.replace("{0}", "") + r"\p{N}" + REST

RULES = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3],
    "gpt-4o": [GPT4O],
    "tekken": [TEKKEN],
}

STRINGS = [
    "", " ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "a", " a", "  a", "a ", "a  ", "Hello, world!", "Hello   world  ",
    "I'm you're we'VE he'll she'd it's DON'T", "'s", " 's", "''s", "rock'n'roll", "can’t", "1", "12", "123", "1234", "12345678", "3.14",
    "1,000", "v1.2", "a1b22c333d4444", "١٢٣", "½²Ⅻ", "café", "cafe\u0301s", "naïve", "Straße", "Привет, мир!", "你好，世界", "こんにちはカタカナ漢字",
    "안녕 세계", "नमस्ते दुनिया", "สวัสดี", "😀", "a😀b", "👨‍👩‍👧", "❤️", "🇩🇪", "x\u00a0y", "\u3000x", "\u200bx", "a\u2028b", "\x00\x01", "!!!", " !!!", "...\n",
    "...\n\n\nx", "!\r\n\r\n", "a/b//c\n", "// comment\n", "/\n/", "def f(x):\n    return x ** 2\n", "\tif (a) {\n\t\tb();\n\t}\n", "    x", "a\n    b",
    "a \n b", "a\n\n  \n b", "x = [[0]*10]", "camelCase PascalCase HTTPServer iPhone ABC", "snake_case", "kebab-case", "#tag @name $1 %x",
    "<div class=\"x\">", "{\"a\": [1, null]}", "https://a.b/c?d=e&f", "user@example.org", "C:\\x\\y", "🙂🙂 ok", "ǅ ǆ ʰ ª", "Ω≈ç√", "“q”‘s’",
    "<|im_start|>user\nHi<|im_end|>", "漢字kana漢字", "e\u0301\u0302", "\u0301x", "a\u0301'll", "A'Ll B'S",
]


def words(patterns, text):
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return [word for word, _ in pre_tokenizers.Sequence(splits).pre_tokenize_str(text)]


def main():
    goldens = {}
    for name, patterns in RULES.items():
        goldens[name] = [words(patterns, text) for text in STRINGS]
        for text, split in zip(STRINGS, goldens[name]):
            assert "".join(split) == text, (name, text, split)
    lines = ",\n".join(f" {json.dumps(name)}: [\n" + ",\n".join("  " + json.dumps(w, ensure_ascii=True) for w in cases) + "\n ]"
                       for name, cases in goldens.items())
    pathlib.Path(sys.argv[1]).write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    print(f"{len(RULES)} rules, {len(STRINGS)} strings")


if __name__ == "__main__":
    main()
