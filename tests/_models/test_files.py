import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from skicl import SentenceEncoder
from skicl._models import _files
from skicl._models._files import (
    DEFAULT_MODEL,
    PACKAGED_MODEL,
    PACKAGED_REVISION,
    find_model,
    folder_state,
    folder_version,
    full_name,
    local_folder,
    wanted_files,
)
from skicl.encoders import AudioEncoder, ImageEncoder, LanguageModelEncoder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(folder))
    return folder


@pytest.fixture
def unreachable(monkeypatch):
    """A hub at a port where nobody listens."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(_files, "PACKAGED_MODEL", "surely_not_installed")


def put_into_cache(cache, name, source):
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return place / "snapshots" / COMMIT


def test_bundled_model_is_in_the_package():
    files = {path.name for path in local_folder("skicl-tiny").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "card.json"} <= files


def test_short_names_belong_to_sentence_transformers():
    assert full_name("all-MiniLM-L6-v2") == DEFAULT_MODEL
    assert full_name("intfloat/e5-small-v2") == "intfloat/e5-small-v2"


def test_local_folder(tmp_path, monkeypatch):
    assert local_folder(tmp_path) == local_folder(str(tmp_path)) == tmp_path.resolve()
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert local_folder("./model") == local_folder("model") == (tmp_path / "model").resolve()
    assert local_folder("organisation/model") is None


@pytest.mark.parametrize("name", ["./absent", "/absent/model", "~/surely/absent", "a/b/c", "", Path("absent")])
def test_path_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match=r"`model`='.*' does not exist. Expected an existing folder, or the name"):
        local_folder(name)


def test_file_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is a file\. Expected the folder"):
        local_folder(file)


def overwrite_in_place(file, content):
    """As ``cp -p`` does from an older file: the same inode, and the size and time that the file had before."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))
    assert file.stat().st_size == before.st_size
    assert file.stat().st_ino == before.st_ino


def test_version_of_a_folder_changes_when_a_file_does(tmp_path):
    (tmp_path / "a").write_text("one", encoding="utf-8")
    version = folder_version(tmp_path)
    assert folder_version(tmp_path) == version
    (tmp_path / "a").write_text("three", encoding="utf-8")
    assert folder_version(tmp_path) != version


@pytest.mark.parametrize("told_by", [folder_version, folder_state])
def test_version_changes_when_an_older_file_of_the_same_size_is_copied_into_place(tmp_path, told_by):
    (tmp_path / "part").mkdir()
    for name in ("a", "part/b", "c"):
        (tmp_path / name).write_bytes(b"first content")
    versions = [told_by(tmp_path)]
    for name in ("a", "part/b", "c"):
        overwrite_in_place(tmp_path / name, b"other content")
        versions.append(told_by(tmp_path))
    assert len(set(versions)) == 4


def test_version_is_that_of_the_content(tmp_path):
    for name in ("one", "same", "renamed", "moved"):
        (tmp_path / name / "part").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "renamed" / "config.json").rename(tmp_path / "renamed" / "settings.json")
    (tmp_path / "moved" / "config.json").rename(tmp_path / "moved" / "part" / "config.json")
    one = folder_version(tmp_path / "one")
    assert folder_version(tmp_path / "same") == one
    os.utime(tmp_path / "one" / "config.json", (0, 0))
    assert folder_version(tmp_path / "one") == one
    assert len({one, folder_version(tmp_path / "renamed"), folder_version(tmp_path / "moved")}) == 3


def test_files_that_no_model_is_loaded_from_do_not_count(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    version = folder_version(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "checkpoint-500").mkdir()
    for name in (".git/index", "model.onnx", "pytorch_model.bin", "checkpoint-500/model.safetensors", "optimizer.pt"):
        (tmp_path / name).write_bytes(b"something")
    assert folder_version(tmp_path) == version


def test_version_counts_the_model_that_an_adapter_is_based_on(tmp_path):
    for name in ("base", "adapter"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"some weights")
    settings = {"base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    version = folder_version(tmp_path / "adapter")
    overwrite_in_place(tmp_path / "base" / "weights.safetensors", b"more weights")
    assert folder_version(tmp_path / "adapter") != version


@pytest.mark.usefixtures("unreachable", "no_package")
@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_cache_of_the_hub_comes_first_and_needs_no_network(cache, tiny_folder, revision):
    snapshot = put_into_cache(cache, "someone/tiny", tiny_folder)
    assert find_model("someone/tiny", revision) == snapshot


@pytest.mark.usefixtures("unreachable", "no_package")
@pytest.mark.parametrize("missing", ["modules.json", "config.json", "model.safetensors", "1_Pooling/config.json"])
def test_incomplete_snapshot_is_not_used(cache, tiny_folder, missing):
    snapshot = put_into_cache(cache, "someone/tiny", tiny_folder)
    (snapshot / missing).unlink()
    with pytest.raises(ConnectionError):
        find_model("someone/tiny")


@pytest.mark.usefixtures("unreachable")
def test_plain_transformers_snapshot_is_used_if_it_is_known_to_be_one(cache, tiny_folder):
    snapshot = put_into_cache(cache, "someone/plain", tiny_folder)
    (snapshot / "modules.json").unlink()
    mark = snapshot.parents[1] / ".no_exist" / COMMIT / "modules.json"
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert find_model("someone/plain") == snapshot


@pytest.mark.usefixtures("cache", "unreachable")
@pytest.mark.parametrize("revision", [None, PACKAGED_REVISION])
def test_packaged_default_needs_no_network(revision):
    pytest.importorskip(PACKAGED_MODEL)
    folder = find_model(DEFAULT_MODEL, revision)
    assert folder.parent.name == PACKAGED_MODEL
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest == _files.PACKAGED_SHA256


@pytest.mark.usefixtures("cache", "unreachable")
def test_package_holds_no_other_revision_and_no_other_model():
    for name, revision in [(DEFAULT_MODEL, "main"), ("sentence-transformers/all-MiniLM-L12-v2", None)]:
        with pytest.raises(ConnectionError):
            find_model(name, revision)


@pytest.mark.usefixtures("cache", "unreachable")
def test_wrong_checksum_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "forged_package" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_files, "PACKAGED_MODEL", "forged_package")
    digest = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(ValueError, match=rf"sha256 of .* is {digest}, expected 53aa.*pip install --force-reinstall"):
        find_model(DEFAULT_MODEL)


@pytest.mark.usefixtures("cache", "unreachable")
def test_packaged_weights_that_were_overwritten_with_an_older_file_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "sound_package" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes(b"the official weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_files, "PACKAGED_MODEL", "sound_package")
    monkeypatch.setattr(_files, "PACKAGED_SHA256", hashlib.sha256(b"the official weights").hexdigest())
    assert find_model(DEFAULT_MODEL) == folder
    overwrite_in_place(folder / "model.safetensors", b"the damaged. weights")
    with pytest.raises(ValueError, match="They are not used"):
        find_model(DEFAULT_MODEL)


@pytest.mark.usefixtures("cache", "unreachable", "no_package")
@pytest.mark.parametrize("name", [DEFAULT_MODEL, "someone/absent"])
def test_unreachable_hub_fails_at_once_with_the_install_line(name):
    start = time.perf_counter()
    with pytest.raises(ConnectionError, match=r"cannot be reached.*pip install \"skicl\[offline\]\"") as caught:
        find_model(name)
    assert time.perf_counter() - start < 10
    assert name in str(caught.value)
    assert "http://127.0.0.1:9" in str(caught.value)


@pytest.mark.usefixtures("cache", "no_package")
def test_offline_mode_of_the_hub_gives_the_install_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="pip install"):
        find_model(DEFAULT_MODEL)


@pytest.mark.usefixtures("cache", "unreachable")
def test_name_that_no_hub_could_have_is_refused():
    with pytest.raises(ValueError, match="neither a folder nor a valid name"):
        find_model("someone/what a name")


def test_copies_in_other_formats_are_not_downloaded():
    files = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"]
    files += ["openvino/openvino_model.xml", "1_Pooling/config.json", "2_Dense/pytorch_model.bin", "tokenizer.json"]
    assert wanted_files(files) == [
        "config.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "2_Dense/pytorch_model.bin",
        "tokenizer.json",
    ]
    assert wanted_files(["config.json", "pytorch_model.bin"]) == ["config.json", "pytorch_model.bin"]


class Hub(BaseHTTPRequestHandler):
    """Just enough of the hub to download from; `repositories` maps names to folders."""

    repositories: dict

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/")
        for name, folder in self.repositories.items():
            if path in {f"api/models/{name}{revision}" for revision in ("", "/revision/main", f"/revision/{COMMIT}")}:
                names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
                siblings = [{"rfilename": file} for file in names]
                return self.answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())
            if path == f"api/models/{name}/tree/{COMMIT}":
                files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                entries = [
                    {"type": "file", "path": str(file.relative_to(folder)), "size": file.stat().st_size, "oid": COMMIT}
                    for file in files
                ]
                return self.answer(200, json.dumps(entries).encode())
            if path.startswith(f"{name}/resolve/"):
                file = folder / path.split("/", 4)[4]
                if file.is_file():
                    return self.answer(200, file.read_bytes())
                return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        return self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def encode_elsewhere(endpoint, cache, name, tmp_path):
    """Encode a text in a process of its own; returns the finished process and the seconds `fit` took."""
    program = (
        "import sys, time, skicl\n"
        "import sentence_transformers, torch\n"
        "start = time.perf_counter()\n"
        "try:\n"
        f"    print(skicl.SentenceEncoder({name!r}, device='cpu').fit_transform(['card']).tolist())\n"
        "finally:\n"
        "    print(time.perf_counter() - start)\n"
    )
    environment = {"HF_ENDPOINT": endpoint, "SENTENCE_TRANSFORMERS_HOME": str(cache), "HF_HOME": str(tmp_path / "home")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(_files.__file__).parents[2])}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_download_from_a_hub_and_use_without_it(cache, tiny_folder, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(tiny_folder, plain)
    shutil.rmtree(plain / "1_Pooling")
    (plain / "modules.json").unlink()
    full = tmp_path / "full"
    shutil.copytree(tiny_folder, full)
    (full / "onnx").mkdir()
    for copy_in_another_format in ("onnx/model.onnx", "pytorch_model.bin", "tf_model.h5"):
        (full / copy_in_another_format).write_bytes(b"not to be downloaded")
    Hub.repositories = {"someone/full": full, "someone/plain": plain}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        absent = encode_elsewhere(endpoint, cache, "someone/absent", tmp_path)
        online = {name: encode_elsewhere(endpoint, cache, name, tmp_path) for name in Hub.repositories}
    finally:
        server.shutdown()
    assert "ValueError: `model`='someone/absent' could not be had" in absent.stderr
    downloaded = {file.name for file in cache.rglob("*") if file.is_file()}
    assert "model.safetensors" in downloaded
    assert not downloaded & {"model.onnx", "pytorch_model.bin", "tf_model.h5"}
    for name, first in online.items():
        assert first.returncode == 0, first.stderr
        second = encode_elsewhere("http://127.0.0.1:9", cache, name, tmp_path)
        assert second.returncode == 0, second.stderr
        assert second.stdout.splitlines()[0] == first.stdout.splitlines()[0]
        assert second.stderr == ""


@pytest.mark.slow
def test_default_model_in_a_fresh_process_without_a_network(tmp_path):
    pytest.importorskip(PACKAGED_MODEL)
    (tmp_path / "cache").mkdir()
    done = encode_elsewhere("http://127.0.0.1:9", tmp_path / "cache", "all-MiniLM-L6-v2", tmp_path)
    assert done.returncode == 0, done.stderr
    vectors, seconds = done.stdout.splitlines()
    assert len(json.loads(vectors)[0]) == 384
    assert float(seconds) < 20
    assert done.stderr == ""


@pytest.mark.slow
def test_unreachable_hub_in_a_fresh_process(tmp_path):
    (tmp_path / "cache").mkdir()
    done = encode_elsewhere("http://127.0.0.1:9", tmp_path / "cache", "someone/absent", tmp_path)
    assert "ConnectionError: The model 'someone/absent' is not on this machine" in done.stderr
    assert float(done.stdout) < 10


@pytest.mark.usefixtures("cache", "unreachable", "no_package")
def test_the_advice_suits_the_kind_of_model():
    for encoder, message in [
        (SentenceEncoder(), r'pip install "skicl\[offline\]"'),
        (LanguageModelEncoder("someone/absent"), r"hf download someone/absent .*'skicl-tiny'.*skicl\[offline\]"),
        (ImageEncoder(), r"hf download facebook/dinov2-small .*No extra of skicl holds a model of this kind"),
        (AudioEncoder(sampling_rate=16000), r"hf download openai/whisper-base .*No extra of skicl holds a model"),
    ]:
        X = [np.zeros((8, 8), np.uint8)] if isinstance(encoder, ImageEncoder) else ["a text"]
        X = [np.zeros(800, np.float32)] if isinstance(encoder, AudioEncoder) else X
        with pytest.raises(ConnectionError, match=rf"(?s)cannot be reached.*{message}") as caught:
            encoder.fit(X)
        assert ("offline" in str(caught.value)) == ("offline" in message)


def test_names_that_are_almost_those_of_the_package():
    for name in ("skicl-tinny", "skicl_tiny", "Skicl-Tiny"):
        with pytest.raises(ValueError, match=f"`model`='{name}' is no model .* Did you mean 'skicl-tiny'"):
            local_folder(name)
    with pytest.raises(ValueError, match="`model`='auto' is no model"):
        SentenceEncoder("auto").fit(["a"])
