"""retort tune as a user runs it, on a tiny random model: it learns, survives being killed, and refuses bad input clearly."""
import hashlib
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import time
import unittest

RETORT = os.environ["RETORT"]
MODELS = pathlib.Path(os.environ["RETORT_MODELS"])
LLAMA = str(MODELS / "llama.gguf")
ROWS = [{"text": text, "label": label} for text, label in
        [("sun", "day"), ("moon", "night"), ("noon", "day"), ("star", "night"), ("light", "day"), ("dark", "night")] * 4]


def run(*arguments, code=0, **keywords):
    result = subprocess.run([RETORT, *map(str, arguments)], capture_output=True, timeout=300, **keywords)
    out, err = result.stdout.decode(), result.stderr.decode()
    assert result.returncode == code, f"{arguments}: exit code {result.returncode}, expected {code}\n{out}\n{err}"
    return out, err


class Tune(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.data = self.write("rows.jsonl", ROWS)

    def write(self, name, rows):
        path = self.path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def arguments(self, output, **options):
        settings = {"data": self.data, "output": self.path / output, "lr": 0.01, "epochs": 8, "batch": 4, "rank": 4,
                    "instruction": "", "checkpoint-every": 3, "threads": 2, **options}
        return ["tune", LLAMA, *[part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]]

    def digest(self, output):
        return hashlib.sha256((self.path / output / "adapter.gguf").read_bytes()).hexdigest()

    def test_learns_and_writes_everything(self):
        out, err = run(*self.arguments("a", validation=self.data), "--json")
        lines = [json.loads(line) for line in out.splitlines()]
        steps, summary = lines[:-1], lines[-1]
        self.assertEqual([row["step"] for row in steps], list(range(1, 49)))
        self.assertLess(steps[-1]["loss"], steps[0]["loss"] / 3)
        self.assertEqual(summary["steps"], 48)
        self.assertLess(summary["best_validation_loss"], steps[0]["loss"] / 3)
        self.assertEqual(summary["metrics"]["accuracy"]["value"], 1)
        scores = [row["accuracy"] for row in steps if "validation_loss" in row]  # at the end of each epoch
        self.assertEqual(len(scores), 8)
        self.assertEqual(scores[-1], 1)
        self.assertIn("accuracy (validation)", (self.path / "a/report.html").read_text())
        self.assertNotIn("epoch (validation)", (self.path / "a/report.html").read_text())
        self.assertEqual(summary["metrics"]["rows"], len(ROWS))
        for name in ("adapter.gguf", "peft/adapter_config.json", "peft/adapter_model.safetensors", "task.json", "metrics.jsonl",
                     "report.html", "checkpoint.bin"):
            self.assertTrue((self.path / "a" / name).exists(), name)
        self.assertTrue(list((self.path / "a").glob("events.out.tfevents.*")))
        self.assertEqual(json.loads((self.path / "a/task.json").read_text())["labels"], ["day", "night"])
        adapter = self.path / "a/adapter.gguf"
        for text, label in (("sun", "day"), ("dark", "night")):
            answer, _ = run("run", LLAMA, "--raw", "-p", f"Input: {text}\nOutput: ", "--max-tokens", 8, "--adapter", adapter)
            plain, _ = run("run", LLAMA, "--raw", "-p", f"Input: {text}\nOutput: ", "--max-tokens", 8, "--adapter", f"{adapter}=0")
            self.assertTrue(answer.strip().startswith(label), answer)
            self.assertNotEqual(answer, plain)
        folder, _ = run("run", LLAMA, "--raw", "-p", "Input: sun\nOutput: ", "--max-tokens", 8, "--adapter", self.path / "a/peft")
        self.assertTrue(folder.strip().startswith("day"), folder)
        _, err = run("run", MODELS / "qwen2.gguf", "--raw", "-p", "x", "--adapter", adapter, code=1)
        self.assertIn("llama", err)
        self.assertIn("qwen2", err)

    def test_full_training_writes_a_model(self):
        out, _ = run(*self.arguments("full", method="full", lr=0.003), "--json")
        self.assertLess(json.loads(out.splitlines()[-2])["loss"], json.loads(out.splitlines()[0])["loss"] / 3)
        answer, _ = run("run", self.path / "full/model.gguf", "--raw", "-p", "Input: sun\nOutput: ", "--max-tokens", 8)
        self.assertTrue(answer.strip().startswith("day"), answer)

    def test_head(self):
        out, _ = run("tune", LLAMA, "--method", "head", "--data", self.data, "--output", self.path / "h", "--json")
        self.assertEqual(json.loads(out)["labels"], 2)
        head = self.path / "h/head.gguf"
        out, _ = run("eval", LLAMA, "--head", head, "--data", self.data, "--json")
        self.assertEqual(json.loads(out)["metrics"]["accuracy"]["value"], 1)
        _, err = run("eval", MODELS / "qwen2.gguf", "--head", head, "--data", self.data, code=1)
        self.assertIn("another model", err)
        _, err = run("eval", LLAMA, "--head", LLAMA, "--data", self.data, code=1)
        self.assertIn("classifier", err)
        other = self.write("other.jsonl", [{"text": "x", "label": "dusk"}, {"text": "y", "label": "day"}])
        _, err = run("eval", LLAMA, "--head", head, "--data", other, code=1)
        self.assertIn("other.jsonl:1", err)
        one = self.write("one.jsonl", [{"text": "x", "label": "day"}])
        _, err = run("tune", LLAMA, "--method", "head", "--data", one, "--output", self.path / "h", code=1)
        self.assertIn("two labels", err)
        summaries = self.write("s.jsonl", [{"text": "x", "summary": "day"}])
        _, err = run("tune", LLAMA, "--method", "head", "--data", summaries, "--output", self.path / "h", code=1)
        self.assertIn("label", err)

    def test_killed_at_any_moment_and_resumed_ends_with_the_same_bits(self):
        settings = {"dropout": 0.1, "validation": self.data, "eval_every": 5}
        start = time.monotonic()
        run(*self.arguments("whole", **settings))
        duration = time.monotonic() - start
        choice = random.Random(5)
        for attempt in range(10):
            output = f"killed{attempt}"
            child = subprocess.Popen([RETORT, *map(str, self.arguments(output, **settings))], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(choice.random() * duration)
            child.kill()
            child.wait()
            run(*self.arguments(output, **settings), "--resume")
            self.assertEqual(self.digest(output), self.digest("whole"), attempt)
            steps = [json.loads(line)["step"] for line in (self.path / output / "metrics.jsonl").read_text().splitlines()]
            self.assertEqual(steps, sorted(set(steps)))

    def test_kept_activations_of_frozen_layers(self):
        settings = {"last_layers": 1, "validation": self.data, "eval_every": 5, "precision": "fp32"}
        start = time.monotonic()
        out, _ = run(*self.arguments("kept", **settings), "--json")
        duration = time.monotonic() - start
        self.assertEqual(json.loads(out.splitlines()[-1])["layers_cached"], 1)
        self.assertFalse([path for path in (self.path / "kept").iterdir() if "activations" in path.name])
        out, _ = run(*self.arguments("computed", cache_activations="off", **settings), "--json")
        self.assertEqual(json.loads(out.splitlines()[-1])["layers_cached"], 0)
        kept, computed = ([json.loads(line)["loss"] for line in (self.path / name / "metrics.jsonl").read_text().splitlines()]
                          for name in ("kept", "computed"))
        self.assertEqual(len(kept), len(computed))
        for a, b in zip(kept, computed):
            self.assertLess(abs(a - b), 0.001 * b + 1e-4)
        choice = random.Random(6)
        for attempt in range(4):
            child = subprocess.Popen([RETORT, *map(str, self.arguments(f"k{attempt}", **settings))], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(choice.random() * duration)
            child.kill()
            child.wait()
            run(*self.arguments(f"k{attempt}", **settings), "--resume")
            self.assertEqual(self.digest(f"k{attempt}"), self.digest("kept"), attempt)
        _, err = run(*self.arguments("kept", **settings, cache_activations="off"), "--resume", code=1)
        self.assertIn("cache_activations was on, is off", err)

    def test_ctrl_c_leaves_a_state_to_resume(self):
        child = subprocess.Popen([RETORT, *map(str, self.arguments("c", epochs=400)), "--json"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 130, err)
        self.assertIn(b"--resume", err)
        self.assertTrue((self.path / "c/checkpoint.bin").exists())
        _, err = run(*self.arguments("c", epochs=400), code=1)
        self.assertIn("--resume", err)
        _, err = run(*self.arguments("c", epochs=400, lr=0.02), "--resume", code=1)
        self.assertIn("learning_rate was 0.01, is 0.02", err)

    def test_a_damaged_checkpoint_is_refused(self):
        run(*self.arguments("d", epochs=1))
        path = self.path / "d/checkpoint.bin"
        whole = path.read_bytes()
        for damaged in (whole[:-9], whole[:40], b"", whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]):
            path.write_bytes(damaged)
            _, err = run(*self.arguments("d", epochs=1), "--resume", code=1)
            self.assertIn("checkpoint.bin", err)
            self.assertEqual(path.read_bytes(), damaged)

    def test_bad_data_is_named_before_training_starts(self):
        def message(name, content, **options):
            path = self.path / name
            path.write_bytes(content)
            _, err = run(*self.arguments("bad", data=path, **options), code=1)
            self.assertIn(name, err)
            self.assertFalse((self.path / "bad").exists())
            return err

        message("empty.jsonl", b"")
        self.assertIn("malformed.jsonl:2", message("malformed.jsonl", b'{"text":"a","label":"b"}\n{"text":\n'))
        self.assertIn("shape.jsonl:2", message("shape.jsonl", b'{"text":"a","label":"b"}\n{"text":"a","summary":"b"}\n'))
        self.assertIn("huge.jsonl:1", message("huge.jsonl", b'{"text":"' + b"a" * 100_000_000 + b'","label":"b"}\n'))
        self.assertIn("utf8.jsonl:1", message("utf8.jsonl", b'{"text":"\xff","label":"b"}\n').replace("UTF-8", "utf8"))
        _, err = run(*self.arguments("bad", data=self.path / "missing.jsonl"), code=1)
        self.assertIn("missing.jsonl", err)
        other = self.write("other.jsonl", [{"text": "x", "label": "dayy"}])
        _, err = run(*self.arguments("bad", validation=other), code=1)
        self.assertIn("other.jsonl:1", err)
        self.assertIn("day", err)
        long = self.write("long.jsonl", [*ROWS, {"text": "a " * 3000, "label": "day"}])
        _, err = run(*self.arguments("bad", data=long, max_tokens=64, over_long="stop"), code=1)
        self.assertIn("25", err)

    def test_where_nothing_can_be_written(self):
        (self.path / "file").write_text("in the way")
        _, err = run(*self.arguments("file"), code=1)
        self.assertIn("file", err)

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        _, err = run(*self.arguments("full_disk"), code=1, preexec_fn=small_files)
        self.assertIn("full_disk", err)
        run(*self.arguments("full_disk"), "--resume")  # what was there is whole

    def test_wrong_usage(self):
        for options in ({"method": "magic"}, {"schedule": "steps"}, {"memory": "lots"}, {"rank": 0}, {"epochs": -1}):
            run(*self.arguments("u", **options), code=2)
        _, err = run(*self.arguments("u", targets="attn_q,attn_x"), code=1)
        self.assertIn("attn_x", err)
        self.assertIn("ffn_down", err)


if __name__ == "__main__":
    unittest.main()
