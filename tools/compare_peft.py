#!/usr/bin/env python3
"""Compares `retort tune` with PyTorch + PEFT: the same initial adapter, the same batches, step by step the same loss.

  pip install torch==2.13.0 transformers==4.57.6 peft==0.21.2 gguf
  python tools/compare_peft.py build/release/retort MODEL.gguf ROWS.jsonl [--steps 50] [--batch 4] [--rank 16]
                         [--dtype bf16] [--continue]

ROWS are {"text", "label"}; the labels are learned or, with --continue, the texts from a point behind their first 80 characters:
a hundred learned tokens a row instead of two, so that the curves differ by more than chance. Prints both losses of every step,
then the mean of each, the largest and the mean difference, the largest relative difference of a step, and that of the running
mean over ten steps.
"""
import argparse, json, os, pathlib, subprocess, tempfile
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tokens_of(retort, model, text):
    out = subprocess.run([retort, "tokenize", model, "--json"], input=text.encode(), capture_output=True, check=True).stdout
    return json.loads(out)["ids"]


def example(retort, model, row, limit):
    """Prompt and answer as Retort renders them, an empty instruction; the loss counts the answer and the token that ends it."""
    ask = [{"role": "user", "content": row["text"]}]
    prompt = json.loads(subprocess.run([retort, "template", model, "--json"], input=json.dumps(ask).encode(),
                                       capture_output=True, check=True).stdout)["prompt"]
    question = tokens_of(retort, model, prompt)
    whole = tokens_of(retort, model, prompt + row["label"] + "<|im_end|>")
    assert whole[:len(question)] == question and len(whole) <= limit
    return whole, [-100] * len(question) + whole[len(question):]


def continuation(row):
    begin = row["text"].find(" ", 80)
    return {"text": "Continue: " + row["text"][:begin], "label": row["text"][begin + 1:600].rsplit(" ", 1)[0]}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("retort")
    ap.add_argument("model")
    ap.add_argument("rows")
    ap.add_argument("--steps", type=int, default=50)
    ap.add_argument("--batch", type=int, default=4)
    ap.add_argument("--rank", type=int, default=16)
    ap.add_argument("--lr", type=float, default=2e-4)
    ap.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--continue", dest="continued", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    rows = [json.loads(line) for line in open(a.rows)]
    if a.continued:
        rows = [continuation(row) for row in rows if len(row["text"]) >= 300]
    rows = [row for row in rows if len(row["text"]) < 900][:a.steps * a.batch]
    work = pathlib.Path(tempfile.mkdtemp())
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    folder, file = os.path.split(os.path.abspath(a.model))
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[a.dtype]
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=dtype, attn_implementation="sdpa")
    model = get_peft_model(model, LoraConfig(r=a.rank, lora_alpha=2 * a.rank, target_modules=LINEAR, task_type="CAUSAL_LM"))
    model.save_pretrained(work / "initial")

    command = [a.retort, "tune", a.model, "--data", work / "rows.jsonl", "--output", work / "out", "--init-adapter", work / "initial",
               "--batch", a.batch, "--lr", a.lr, "--schedule", "constant", "--warmup", 0, "--clip", 0, "--no-shuffle", "--epochs", 1,
               "--instruction", "", "--precision", a.dtype, "--threads", a.threads, "--json"]
    out = subprocess.run(list(map(str, command)), capture_output=True, check=True).stdout.decode().splitlines()
    ours = [json.loads(line)["loss"] for line in out[:-1]]

    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=a.lr, weight_decay=0)
    theirs = []
    for step in range(len(ours)):
        batch = [example(a.retort, a.model, row, 1024) for row in rows[step * a.batch:(step + 1) * a.batch]]
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
        labels = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        theirs.append(loss.item())
        print(f"step {step + 1}: retort {ours[step]:.4f} peft {theirs[step]:.4f}", flush=True)
    count = len(ours)
    running = lambda x: [sum(x[i:i + 10]) / 10 for i in range(count - 9)]
    print(json.dumps({"steps": count, "retort_mean": sum(ours) / count, "peft_mean": sum(theirs) / count,
                      "mean_ratio": sum(ours) / sum(theirs),
                      "largest_difference": max(abs(x - y) for x, y in zip(ours, theirs)),
                      "mean_difference": sum(abs(x - y) for x, y in zip(ours, theirs)) / count,
                      "largest_relative": max(abs(x - y) / y for x, y in zip(ours, theirs)),
                      "running_mean_largest_relative": max((abs(x - y) / y for x, y in zip(running(ours), running(theirs))), default=0)}))


if __name__ == "__main__":
    main()
