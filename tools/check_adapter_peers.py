"""Compares adapters and merged models with llama.cpp and PEFT, on the same random adapter.

  pip install llama-cpp-python==0.3.36 torch transformers==4.57.6 peft==0.21.2 gguf
  python tools/check_adapter_peers.py [MODEL.gguf ...] [--build build/release] [--strength 0.5]

For each model (by default the tiny ones of tests/golden/models) a random adapter of all its projections is written as
a GGUF file and as a PEFT folder. After 50 prompts the best next token must be the same in
  - llama.cpp with the GGUF adapter,
  - PEFT with the folder, on the model as transformers reads it from the GGUF file,
  - this program, on what `retort merge` makes of each of the two forms,
except where llama.cpp's two best logits differ by less than 0.02; and the adapter must change it after at least 10 of
them, or nothing was compared. All run on the model's weights in F32. Exit code 1 when a check fails.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np
import peft
import torch
import transformers

STARTS = ["The capital of {} is", "My favourite thing about {} is that", "def {}(items):\n    ", "Q: What is {}?\nA:",
          "Once upon a time in {},"]
THINGS = ["France", "water", "quicksort", "the moon", "a garden", "Zürich", "music", "bread", "a long winter", "42"]
PROMPTS = [start.format(thing) for start in STARTS for thing in THINGS]
NEAR_TIE = 0.02


def llama_logits(model, prompts, adapter=None):
    """The logits after each prompt (a list of ids), in llama.cpp."""
    llm = llama_cpp.Llama(str(model), n_ctx=128, logits_all=True, n_threads=2, n_threads_batch=2, verbose=False,
                          lora_path=str(adapter) if adapter else None)
    rows = []
    for ids in prompts:
        llm.reset()
        llm.eval(ids)
        rows.append(np.array(llm.scores[len(ids) - 1]))
    llm.close()
    return np.stack(rows)


def peft_logits(model, prompts, folder):
    torch.set_num_threads(2)
    config = transformers.AutoConfig.from_pretrained(str(model.parent), gguf_file=model.name)
    fields = {name.partition(".")[2]: field.contents() for name, field in gguf.GGUFReader(model).fields.items()}
    if "attention.key_length" in fields:  # transformers does not look at these for every architecture
        config.head_dim = config.query_pre_attn_scalar = fields["attention.key_length"]
    if "attention.sliding_window" in fields:
        config.sliding_window = fields["attention.sliding_window"]
    if "rope.freq_base_swa" in fields:
        config.rope_local_base_freq = fields["rope.freq_base_swa"]
    base = transformers.AutoModelForCausalLM.from_pretrained(str(model.parent), gguf_file=model.name, config=config,
                                                             dtype=torch.float32)
    adapted = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    with torch.no_grad():
        return np.stack([adapted(torch.tensor([ids])).logits[0, -1].numpy() for ids in prompts])


def our_best(retort, model, prompts):
    best = []
    for ids in prompts:
        out = subprocess.run([retort, "logits", model, "--ids", ",".join(map(str, ids)), "--top", "1", "--json"],
                             capture_output=True, text=True, check=True)
        best.append(json.loads(out.stdout)["top"][0][0])
    return np.array(best)


def check_model(model, build, strength, folder):
    retort = build / "retort"
    plain, adapter, peft_folder = folder / "plain.gguf", folder / "adapter.gguf", folder / "adapter"
    subprocess.run([retort, "quantize", model, plain, "--type", "F32"], check=True, capture_output=True)
    subprocess.run([build / "tests/peers/random_adapter", plain, "8", str(strength), adapter, peft_folder], check=True)
    tokenizer = llama_cpp.Llama(str(plain), vocab_only=True, verbose=False)
    prompts = [tokenizer.tokenize(prompt.encode(), add_bos=True, special=False) for prompt in PROMPTS]

    without, reference = llama_logits(plain, prompts), llama_logits(plain, prompts, adapter)
    best = reference.argmax(axis=1)
    top_two = np.sort(reference, axis=1)[:, -2:]
    near_tie = top_two[:, 1] - top_two[:, 0] < NEAR_TIE
    changed = int((without.argmax(axis=1) != best).sum())
    results = [(changed >= 10, f"the adapter changes {changed} of {len(prompts)} best tokens")]

    def compare(name, tokens):
        same, ties = tokens == best, int(((tokens != best) & near_tie).sum())
        results.append((bool((same | near_tie).all()), f"{name}: {int(same.sum())} of {len(prompts)} as in llama.cpp, {ties} ties"))

    with_peft = peft_logits(plain, prompts, peft_folder)
    compare("PEFT with the folder", with_peft.argmax(axis=1))
    for form in (adapter, peft_folder):
        merged = folder / "merged.gguf"
        subprocess.run([retort, "merge", plain, "--adapter", form, "--output", merged], check=True, capture_output=True)
        compare(f"merged from {form.name}", our_best(retort, merged, prompts))
        compare(f"merged from {form.name}, in llama.cpp", llama_logits(merged, prompts).argmax(axis=1))
    results.append((True, f"largest difference of a logit, PEFT to llama.cpp: {np.abs(with_peft - reference).max():.2g}, "
                          f"of logits that deviate by {reference.std():.2g}"))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=root / "build/release")
    parser.add_argument("--strength", type=float, default=0.5, help="the change's size beside the weights'")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    failures = 0
    goldens = [root / f"tests/golden/models/{name}.gguf" for name in ("llama", "qwen2", "qwen3", "gemma3")]
    for model in args.models or goldens:
        with tempfile.TemporaryDirectory() as folder:
            for good, message in check_model(model, args.build, args.strength, pathlib.Path(folder)):
                failures += not good
                print(f"{'ok  ' if good else 'FAIL'} {model.stem}: {message}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
