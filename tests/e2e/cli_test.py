"""Every command as a user runs it, on the tiny random models of tests/golden: output, exit codes, --json, pipes."""
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time
import unittest

RETORT = os.environ["RETORT"]
MODELS = pathlib.Path(os.environ["RETORT_MODELS"])
LLAMA = str(MODELS / "llama.gguf")
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"


def run(*arguments, text="", code=0, environment=None):
    result = subprocess.run([RETORT, *map(str, arguments)], input=text.encode(), capture_output=True, timeout=120,
                            env={**os.environ, **(environment or {})})
    out, err = result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace")
    assert result.returncode == code, f"{arguments}: exit code {result.returncode}, expected {code}\n{out}\n{err}"
    return out, err


def run_json(*arguments, **keywords):
    out, _ = run(*arguments, "--json", **keywords)
    assert out.count("\n") == 1, f"one object on one line, got {out!r}"
    return json.loads(out)


class Terminal:
    """A program that runs on a terminal of its own."""

    def __init__(self, command, environment):
        self.seen, self.status = "", None
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ.update(environment)
            os.execv(command[0], command)

    def type(self, keys):
        os.write(self.terminal, keys)

    def wait_for(self, text):
        """Until the text is shown, which may have been before; what follows it is kept."""
        self.read_until(lambda: text in self.seen, f"waited for {text!r}")
        self.seen = self.seen.split(text, 1)[1]

    def wait_for_end(self):
        """The exit code."""
        def ended():
            pid, status = os.waitpid(self.child, os.WNOHANG)
            self.status = status if pid else None
            return pid != 0

        self.read_until(ended, "waited for the end")
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(self.status)

    def read_until(self, condition, what, seconds=20):
        deadline = time.time() + seconds
        while not condition():
            if time.time() > deadline:
                os.kill(self.child, signal.SIGKILL)
                raise AssertionError(f"{what}, saw {self.seen[-500:]!r}")
            try:
                if select.select([self.terminal], [], [], 0.05)[0]:
                    self.seen += os.read(self.terminal, 4096).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                time.sleep(0.05)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def test_help_has_examples(self):
        out, _ = run("--help")
        for command in ("pull", "inspect", "tokenize", "template", "run", "chat", "eval", "logits", "perplexity", "bench", "quantize", "merge"):
            self.assertIn(command, out)
            self.assertIn("Examples:", run(command, "--help")[0], command)
        self.assertRegex(run("--version")[0], r"^\d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_2(self):
        for arguments in ([], ["nonsense"], ["run"], ["run", LLAMA, "--no-such-option"], ["run", LLAMA, "--threads", "many"],
                          ["run", LLAMA, "--kv-type", "q3"], ["bench", LLAMA, "--prompt", "0"], ["quantize", LLAMA]):
            out, err = run(*arguments, code=2)
            self.assertEqual(out, "", arguments)
            self.assertNotEqual(err, "", arguments)

    def test_bad_files_are_1_and_named(self):
        broken = self.path / "broken.gguf"
        broken.write_bytes(pathlib.Path(LLAMA).read_bytes()[:5000])
        text = self.path / "text.gguf"
        text.write_text("not a model")
        for command in ("inspect", "tokenize", "logits", "run", "bench"):
            for path in (self.path / "missing.gguf", broken, text, self.path):
                extra = ["-p", "x"] if command == "run" else []
                out, err = run(command, path, *extra, text="x", code=1)
                self.assertEqual(out, "")
                self.assertIn(path.name, err)
        _, err = run("run", "smollm2-135m", "-p", "x", code=1, environment={"RETORT_HOME": str(self.path)})
        self.assertIn("retort pull smollm2-135m", err)
        _, err = run("run", "nonsense", "-p", "x", code=1)
        self.assertIn("smollm2-135m", err)

    def test_inspect(self):
        info = run_json("inspect", LLAMA)
        self.assertEqual(info["architecture"], "llama")
        self.assertEqual(info["file_bytes"], os.path.getsize(LLAMA))
        self.assertGreater(info["parameters"], info["embedding_parameters"])
        self.assertGreater(len(info["tensors"]), 10)
        self.assertEqual(info["metadata"]["general.architecture"], "llama")
        self.assertIn("llama", run("inspect", LLAMA)[0])

    def test_tokenize(self):
        tokens = run_json("tokenize", LLAMA, text="Hello, world")
        self.assertEqual(len(tokens["ids"]), len(tokens["pieces"]))
        out, _ = run("tokenize", LLAMA, "--decode", text=" ".join(map(str, tokens["ids"])))
        self.assertEqual(out, "Hello, world")
        self.assertEqual(run_json("tokenize", LLAMA)["ids"], [])
        out, _ = run("tokenize", LLAMA, "--lines", "--json", text='"a"\n"b\\nc"\n')
        self.assertEqual(len(out.splitlines()), 2)
        _, err = run("tokenize", LLAMA, "--lines", text='"a"\nb\n', code=1)
        self.assertIn("line 2", err)
        _, err = run("tokenize", LLAMA, "--decode", text="1 two", code=1)
        self.assertIn("byte 2", err)

    def test_template(self):
        template = self.path / "t.jinja"
        template.write_text(TEMPLATE)
        messages = json.dumps([{"role": "user", "content": "Hi"}])
        self.assertEqual(run_json("template", LLAMA, "--template", template, text=messages)["prompt"], "<user>Hi\n<assistant>")
        _, err = run("template", LLAMA, text=messages, code=1)
        self.assertIn("base model", err)
        _, err = run("template", LLAMA, "--template", template, text="[{]", code=1)
        template.write_text("line\n{{ 1 + }}")
        _, err = run("template", LLAMA, "--template", template, text=messages, code=1)
        self.assertRegex(err, r":2:\d+:")

    def test_run(self):
        answer = run_json("run", LLAMA, "--raw", "-p", "Once upon", "--max-tokens", 6)
        self.assertEqual(answer["completion_tokens"], 6)
        self.assertEqual(len(answer["token_ids"]), 6)
        self.assertEqual(answer["prompt_tokens"], len(answer["prompt_ids"]))
        self.assertEqual(answer["finish_reason"], "length")
        for name in ("load_ms", "prefill_ms", "first_token_ms", "decode_ms", "prefill_tokens_per_s", "decode_tokens_per_s"):
            self.assertGreaterEqual(answer["timings"][name], 0)
        self.assertGreater(answer["peak_rss_bytes"], 1 << 20)
        out, err = run("run", LLAMA, "--raw", "--max-tokens", 6, text="Once upon")
        self.assertEqual(out, answer["text"] + ("" if answer["text"].endswith("\n") else "\n"))
        self.assertEqual(err, "", "nothing but the text in a pipe")
        sampled = [run_json("run", LLAMA, "--raw", "-p", "a", "--max-tokens", 8, "--temperature", 2, "--seed", seed)["token_ids"]
                   for seed in (1, 1, 2)]
        self.assertEqual(sampled[0], sampled[1])
        self.assertNotEqual(sampled[0], sampled[2])
        _, err = run("run", LLAMA, "--raw", "-p", "a" * 100, "--context", 10, code=1)
        self.assertIn("10", err)
        _, err = run("run", LLAMA, "-p", "a", code=1)
        self.assertIn("--raw", err)
        _, err = run("run", LLAMA, "--raw", "-p", "a", "--top-p", 7, code=1)
        self.assertIn("top-p", err)

    def test_kinds_of_kv_cache_agree(self):
        ids = [run_json("run", LLAMA, "--raw", "-p", "Once upon", "--max-tokens", 3, "--kv-type", kind)["token_ids"][0]
               for kind in ("f16", "f32")]
        self.assertEqual(len(set(ids)), 1)
        _, err = run("run", LLAMA, "--raw", "-p", "a", "--kv-type", "q8_0", code=1)  # its heads are too small for blocks
        self.assertIn("32", err)

    def test_every_isa(self):
        _, err = run("run", LLAMA, "--raw", "-p", "a", code=1, environment={"RETORT_ISA": "nonsense"})
        self.assertIn("scalar", err)
        names = err.split("it has ")[1].strip().split(", ")
        firsts = {run_json("run", LLAMA, "--raw", "-p", "Once upon", "--max-tokens", 1, environment={"RETORT_ISA": name})["token_ids"][0]
                  for name in names}
        self.assertEqual(len(firsts), 1, names)

    def test_logits_and_perplexity(self):
        top = run_json("logits", LLAMA, "--top", 3, text="Hello")
        self.assertEqual(len(top["top"]), 3)
        self.assertEqual(run_json("logits", LLAMA, "--top", 3, "--ids", ",".join(map(str, top["ids"])))["top"], top["top"])
        self.assertEqual(len(run_json("logits", LLAMA, "--all", text="Hello")["positions"]), len(top["ids"]))
        text = self.path / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. " * 40)
        result = run_json("perplexity", LLAMA, text, "--context", 64, "--chunks", 4)
        self.assertEqual(result["chunks"], 4)
        self.assertGreater(result["perplexity"], 1)
        self.assertGreater(result["tokens_per_s"], 0)
        text.write_text("short")
        run("perplexity", LLAMA, text, code=1)

    def test_bench(self):
        result = run_json("bench", LLAMA, "--prompt", 16, "--generate", 4, "--batch", "1,3", "--repeat", 1)
        self.assertGreater(result["prefill"]["tokens_per_s"], 0)
        self.assertGreater(result["decode"]["tokens_per_s"], 0)
        self.assertEqual([entry["sequences"] for entry in result["batch"]], [1, 3])
        self.assertIsNone(result["roof"])
        for name in ("load_ms", "first_token_ms", "peak_rss_bytes", "isa", "threads", "commit"):
            self.assertIn(name, result)

    def test_quantize(self):
        out = self.path / "q8.gguf"
        result = run_json("quantize", LLAMA, out, "--type", "Q8_0")
        self.assertEqual(result["bytes"], out.stat().st_size)
        self.assertGreater(result["bits_per_weight"], 8)
        self.assertEqual(run_json("run", out, "--raw", "-p", "Once upon", "--max-tokens", 1)["completion_tokens"], 1)
        _, err = run("quantize", LLAMA, self.path / "x.gguf", "--type", "Q9", code=2)
        self.assertIn("Q8_0", err)
        same = self.path / "same.gguf"
        same.write_bytes(pathlib.Path(LLAMA).read_bytes())
        run("quantize", same, same, "--type", "Q8_0", code=1)
        self.assertEqual(same.read_bytes(), pathlib.Path(LLAMA).read_bytes())

    def write_rows(self, name, rows):
        path = self.path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def test_eval_classify(self):
        rows = [{"text": text, "label": label} for text, label in
                (("a paint program", "art"), ("reads mail", "mail"), ("sends mail", "mail"), ("chess", "games"))]
        data, train = self.write_rows("test.jsonl", rows), self.write_rows("train.jsonl", rows + [{"text": "x", "label": "web"}])
        predictions = self.path / "predictions.jsonl"
        short = ("--instruction", "{labels}?")
        result = run_json("eval", LLAMA, "--data", data, "--labels-from", train, "--predictions", predictions, *short)
        self.assertEqual((result["task"], result["rows"]), ("classify", 4))
        self.assertEqual(result["confusion"]["labels"], ["art", "games", "mail", "web"])
        self.assertEqual(sum(map(sum, result["confusion"]["counts"])), 4)
        for metric in ("accuracy", "macro_f1", "calibration_error"):
            estimate = result["metrics"][metric]
            self.assertLessEqual(0, estimate["low"])
            self.assertLessEqual(estimate["low"], estimate["high"])
            self.assertLessEqual(estimate["high"], 1)
        self.assertLessEqual(result["latency_ms"]["p50"], result["latency_ms"]["p99"])
        self.assertGreater(result["tokens_per_s"], 0)
        lines = [json.loads(line) for line in predictions.read_text().splitlines()]
        self.assertEqual([line["line"] for line in lines], [1, 2, 3, 4])
        for line in lines:
            self.assertAlmostEqual(sum(line["probabilities"].values()), 1)
            self.assertEqual(line["answer"], max(line["probabilities"], key=line["probabilities"].get))
        right = sum(line["answer"] == line["expected"] for line in lines)
        self.assertAlmostEqual(result["metrics"]["accuracy"]["value"], right / 4)
        task = self.path / "task.json"
        task.write_text(json.dumps({"task": "classify", "instruction": "{labels}?", "labels": ["art", "games", "mail", "web"]}))
        self.assertEqual(run_json("eval", LLAMA, "--data", data, "--task-file", task)["metrics"], result["metrics"])
        task.write_text("{}")
        _, err = run("eval", LLAMA, "--data", data, "--task-file", task, code=1)
        self.assertIn("task.json", err)
        run("eval", LLAMA, "--data", data, "--task-file", task, "--instruction", "x", code=2)
        out, err = run("eval", LLAMA, "--data", data, "--limit", 2, "--labels", "web,mail,art,games", *short)
        self.assertIn("2 rows", out)
        self.assertRegex(out, r"accuracy +\d\.\d{4} +\d\.\d{4} to \d\.\d{4}")
        self.assertEqual(err, "", "no progress for what is done at once")

    def test_eval_of_generated_answers(self):
        fields = self.write_rows("fields.jsonl", [{"text": "1 Main St", "fields": {"n": "1"}}, {"text": "2 Oak", "fields": {"n": "2"}}])
        result = run_json("eval", LLAMA, "--data", fields, "--max-tokens", 5)
        self.assertEqual(result["task"], "extract")
        self.assertEqual(set(result["metrics"]), {"exact_match", "field_micro_f1", "valid_json"})
        summaries = self.write_rows("summaries.jsonl", [{"text": "long", "summary": "short"}])
        result = run_json("eval", LLAMA, "--data", summaries, "--task", "summarize", "--max-tokens", 5)
        self.assertEqual(set(result["metrics"]), {"rouge1", "rouge2", "rougeL"})
        prompts = self.write_rows("prompts.jsonl", [{"prompt": "Once upon", "completion": " a time"}])
        answers = [run_json("eval", LLAMA, "--data", prompts, "--task", "chat", "--max-tokens", 6, "--predictions", self.path / "p")
                   for _ in range(2)]
        self.assertEqual(answers[0]["metrics"], answers[1]["metrics"])
        said = json.loads((self.path / "p").read_text())["answer"]
        self.assertEqual(said, run_json("run", LLAMA, "--raw", "-p", "Once upon", "--max-tokens", 6)["text"].strip())

    def test_eval_refuses(self):
        bad = self.path / "bad.jsonl"
        bad.write_text('{"text": "a", "label": "x"}\n{"text": "b"}\nnot json\n')
        out, err = run("eval", LLAMA, "--data", bad, code=1)
        self.assertEqual(out, "")
        self.assertIn("bad.jsonl:2:", err)
        self.assertIn("bad.jsonl:3:", err)
        data = self.write_rows("test.jsonl", [{"text": "a", "label": "net"}, {"text": "b", "label": "mial"}])
        _, err = run("eval", LLAMA, "--data", data, "--labels", "net,mail", code=1)
        self.assertIn("test.jsonl:2:", err)
        self.assertIn("mail", err)
        _, err = run("eval", LLAMA, "--data", data, "--task", "extract", code=1)
        self.assertIn("classify", err)
        run("eval", LLAMA, "--data", data, "--predictions", self.path / "no" / "folder", code=1)
        run("eval", LLAMA, "--data", self.path / "missing.jsonl", code=1)
        for arguments in (["--limit", "0"], ["--task", "sing"], ["--labels", "a,b", "--labels-from", data]):
            run("eval", LLAMA, "--data", data, *arguments, code=2)
        run("eval", LLAMA, code=2)

    def test_merge(self):
        adapter = self.path / "adapter.gguf"
        subprocess.run([os.environ["RETORT_RANDOM_ADAPTER"], LLAMA, "4", "2", adapter, self.path / "peft"], check=True)
        first = run_json("logits", LLAMA, "--top", 5, text="Hello")["top"]
        tops = {}
        for name in ("adapter.gguf", "peft"):
            out = self.path / "merged.gguf"
            result = run_json("merge", LLAMA, "--adapter", self.path / name, "--output", out)
            self.assertEqual(result, {"path": str(out), "bytes": out.stat().st_size, "merged_tensors": 14})
            tops[name] = run_json("logits", out, "--top", 5, text="Hello")["top"]
            attached = run_json("logits", LLAMA, "--adapter", self.path / name, "--top", 5, text="Hello")["top"]
            renamed = (self.path / name).rename(self.path / f"rank=4 {name}")  # a path, not a scale behind a "="
            self.assertEqual(run_json("logits", LLAMA, "--adapter", renamed, "--top", 5, text="Hello")["top"], attached)
            renamed.rename(self.path / name)
            for (token, logit), (other_token, other_logit) in zip(tops[name], attached):
                self.assertEqual(token, other_token)
                self.assertLess(abs(logit - other_logit), 1e-3)
        self.assertEqual(tops["adapter.gguf"], tops["peft"])
        self.assertNotEqual(tops["peft"], first)
        twice = self.path / "twice.gguf"
        run("merge", LLAMA, "--adapter", adapter, "--scale", 0.75, "--adapter", self.path / "peft", "--scale", "0.25", "--output", twice)
        self.assertLess(abs(run_json("logits", twice, "--top", 1, text="Hello")["top"][0][1] - tops["peft"][0][1]), 1e-3)
        run("merge", LLAMA, "--adapter", adapter, "--scale", 0, "--output", twice)
        self.assertEqual(run_json("logits", twice, "--top", 5, text="Hello")["top"], first)
        result = run_json("merge", LLAMA, "--adapter", adapter, "--output", twice, "--type", "Q8_0")
        self.assertLess(result["bytes"], os.path.getsize(LLAMA) / 2)

        other = MODELS / "qwen2.gguf"
        _, err = run("merge", other, "--adapter", adapter, "--output", self.path / "x.gguf", code=1)
        self.assertIn("was trained on another model than", err)
        self.assertIn("its architecture is llama, the model's is qwen2", err)
        _, err = run("merge", LLAMA, "--adapter", LLAMA, "--output", self.path / "x.gguf", code=1)
        self.assertIn("not a LoRA adapter", err)
        _, err = run("merge", LLAMA, "--adapter", adapter, "--output", adapter, code=1)
        self.assertIn("another name", err)
        self.assertFalse((self.path / "x.gguf").exists())
        for arguments in (["--scale", 1, "--adapter", adapter], ["--adapter", adapter, "--scale", 1, "--scale", 2], [],
                          ["--adapter", adapter, "--scale", "many"], ["--adapter", adapter, "--type", "Q9"]):
            run("merge", LLAMA, *arguments, "--output", self.path / "x.gguf", code=2)

    def test_a_closed_pipe_ends_quietly(self):
        child = subprocess.Popen(f"'{RETORT}' run '{LLAMA}' --raw -p a --max-tokens 400 | head -c 1", shell=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = child.communicate(timeout=60)
        self.assertEqual(err, b"")

    def test_chat_in_a_pipe(self):
        template = self.path / "t.jinja"
        template.write_text(TEMPLATE)
        saved = self.path / "c.json"
        out, err = run("chat", LLAMA, "--template", template, "--max-tokens", 4, "--system", "Be brief.",
                       text=f"Hi\n/stats\n/set top-p 9\n/set nonsense 1\n/nope\nSecond \\\nline\n/save {saved}\n/exit\nnever\n",
                       environment={"RETORT_HOME": str(self.path)})
        self.assertIn("context", err)
        self.assertIn("top-p is 9", err)
        self.assertIn("/nope", err)
        messages = json.loads(saved.read_text())["messages"]
        self.assertEqual([message["role"] for message in messages], ["system", "user", "assistant", "user", "assistant"])
        self.assertEqual(messages[3]["content"], "Second \nline")
        out, err = run("chat", LLAMA, "--template", template, "--max-tokens", 2, text=f"/load {saved}\n/regenerate\n/clear\nHi\n",
                       environment={"RETORT_HOME": str(self.path)})
        self.assertIn("5 messages", err)
        _, err = run("chat", LLAMA, "--template", template, "--context", 20, text="A question that is far too long\n")
        self.assertIn("/clear", err)
        _, err = run("chat", LLAMA, text="Hi\n", code=1)
        self.assertIn("base model", err)

    def chat(self):
        template = self.path / "t.jinja"
        template.write_text(TEMPLATE)
        return Terminal([RETORT, "chat", LLAMA, "--template", str(template)], {"RETORT_HOME": str(self.path), "TERM": "dumb"})

    def test_chat_on_a_terminal(self):
        terminal = self.chat()
        terminal.wait_for("> ")
        terminal.type(b"half a line")
        time.sleep(0.3)
        terminal.type(b"\x03")  # drops the line, not the program
        terminal.wait_for("> ")
        terminal.type(b"Hi\n")
        time.sleep(0.5)
        terminal.type(b"\x03")  # stops the answer, if it is not over yet
        terminal.wait_for("> ")
        terminal.type(b"/stats\n")
        terminal.wait_for("context")
        terminal.wait_for("> ")
        terminal.type(b"\x04")
        self.assertEqual(terminal.wait_for_end(), 0)
        self.assertIn("Hi", (self.path / "chat_history").read_text())

    def test_chat_takes_keys_at_any_moment(self):
        for milliseconds in (0, 1, 2, 4, 8, 16, 32):
            terminal = self.chat()
            terminal.wait_for("> ")
            terminal.type(b"Hi\n")
            time.sleep(milliseconds / 1000)
            terminal.type(b"\x03")
            time.sleep(milliseconds / 1000)
            terminal.type(b"\x04")
            self.assertEqual(terminal.wait_for_end(), 0, milliseconds)

    def test_ctrl_c_stops_run_with_130(self):
        child = subprocess.Popen([RETORT, "run", LLAMA, "--raw", "-p", "a", "--max-tokens", "100000000", "--context", "4000000",
                                  "--logit-bias", "2=-inf"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.read(1)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        self.assertIn(child.returncode, (130, 0))


if __name__ == "__main__":
    unittest.main()
