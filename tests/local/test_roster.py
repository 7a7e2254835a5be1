"""Who is in a class, and where their tokens are and are not."""

from __future__ import annotations

import csv
import os
import signal
import stat
import subprocess
import sys

import pytest
import requests

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths
from cozeloop_magic.local.roster import checked_url, members_of, names_in, numbered_names, write_settings


@pytest.fixture
def roster(tmp_path):
    """Write a roster."""

    def write(text):
        path = tmp_path / "roster.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows_of(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


class TestNames:
    def test_each_line_is_a_name(self, roster):
        assert names_in(roster("\ufeffAnna Bell\r\n\n# absent:\n  李雷 \nZoë\n")) == ["Anna Bell", "李雷", "Zoë"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "names nobody"),
            ("# all absent\n\n", "names nobody"),
            ("Anna\nanna\n", "twice"),
            ("Teacher\n", "is you"),
            ("Ｔｅａｃｈｅｒ\n", "is you"),
            ("Zo\u00eb\nZoe\u0308\n", "twice"),  # one letter, or two that look like it
            ("=HYPERLINK(1)\n", "no name"),  # to a spreadsheet it is a formula
            ("- Anna\n", "no name"),
            ("Anna\u202ebob\n", "no name"),
            ("a\tb\n", "no name"),
            ("x" * 81, "no name"),
            (b"Zo\xeb\n", "UTF-8"),
            ("\n".join(map(str, range(501))), "at most 500"),
        ],
    )
    def test_what_is_no_roster_is_told(self, roster, text, said):
        with pytest.raises(LocalLoopError, match=said):
            names_in(roster(text))

    @pytest.mark.parametrize("odd", [lambda path: None, lambda path: path.mkdir()])
    def test_a_file_that_cannot_be_read_is_told(self, tmp_path, odd):
        odd(tmp_path / "roster.txt")
        with pytest.raises(LocalLoopError, match="cannot be read"):
            names_in(tmp_path / "roster.txt")

    def test_students_may_have_numbers(self):
        assert numbered_names(3) == ["student01", "student02", "student03"]
        for number in (0, -1, 501):
            with pytest.raises(LocalLoopError):
                numbered_names(number)


class TestTokens:
    def test_they_stay_from_lesson_to_lesson(self):
        first = members_of(["anna", "bob"])
        write_settings(first, "http://here", "1")
        assert members_of(["anna", "bob"]) == first
        fewer = members_of(["bob"])
        write_settings(fewer, "http://there", "1")
        assert members_of(["anna", "bob"]) == first
        assert len({member.token for member in first}) == 3

    def test_the_file_is_for_the_teacher_alone_and_ready_to_hand_out(self):
        members = members_of(["李雷", 'Anna "A", Bell'])
        path = write_settings(members, "https://example.org/loop", "73917")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        rows = rows_of(path)
        assert [row["name"] for row in rows] == ["teacher", "李雷", 'Anna "A", Bell']
        assert rows[1]["COZELOOP_API_BASE_URL"] == "https://example.org/loop"
        assert rows[1]["COZELOOP_API_TOKEN"] == members[1].token

    def test_a_shell_reads_a_whole_line_of_it(self):
        members = members_of(["anna"])
        text = write_settings(members, "http://here", "1").read_bytes()
        assert b"\r" not in text and text.endswith(f"{members[1].token}\n".encode())

    def test_a_token_is_in_no_repr(self):
        (teacher,) = members_of([])
        assert teacher.token not in repr(teacher)

    @pytest.mark.parametrize("text", ["\x00", "name\nanna\n", b"\xff"])
    def test_a_file_that_makes_no_sense_is_told_and_left(self, text):
        path = paths.data_dir() / "class.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(LocalLoopError, match="Move it away"):
            members_of(["anna"])
        assert path.exists()


class TestAddresses:
    @pytest.mark.parametrize("url", ["https://example.org/loop/", "http://192.168.1.5:8000", "http://[::1]:80"])
    def test_how_others_reach_it(self, url):
        assert checked_url(url, "0.0.0.0") == url.rstrip("/")

    @pytest.mark.parametrize(
        "url", ["example.org", "ftp://a", "http://", "http://a b", "http://me:pw@a", "http://a:99999"]
    )
    def test_what_is_no_address_is_told(self, url):
        with pytest.raises(LocalLoopError, match="is no address"):
            checked_url(url, "")

    def test_on_all_interfaces_it_must_be_said(self):
        with pytest.raises(LocalLoopError, match="--public-url") as caught:
            checked_url("", "0.0.0.0")
        assert checked_url(str(caught.value).split("--public-url ")[-1].rstrip("."), "0.0.0.0")
        assert checked_url("", "127.0.0.1") == ""


@pytest.fixture
def served(tmp_path, monkeypatch, roster):
    """A class in a process of its own, with a file that is no model."""
    (tmp_path / "no-model.gguf").write_text("This is no model.")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(tmp_path / "no-model.gguf"))
    command = [sys.executable, "-m", "cozeloop_magic", "serve", "--class", str(roster("anna\nbob\n"))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        lines = [process.stdout.readline().strip() for _ in range(3)]
        yield process, [line.partition("=")[2] for line in lines]
        process.kill()


def test_a_class_is_served_and_no_student_s_token_is_said(served):
    process, (base_url, workspace_id, teacher) = served
    told = [process.stderr.readline() for _ in range(3)]
    path = paths.data_dir() / "class.csv"
    assert str(path) in told[1] and "2 students" in told[1] and f"{base_url}/class" in told[2]
    rows = {row["name"]: row["COZELOOP_API_TOKEN"] for row in rows_of(path)}
    assert rows["teacher"] == teacher
    body = {"workspace_id": workspace_id, "prompt_identifier": {"prompt_key": "chat"}}
    for token in rows.values():
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.post(f"{base_url}/v1/loop/prompts/execute", json=body, headers=headers, timeout=30)
        assert "cannot load" in answer.json()["msg"]
        requests.get(f"{base_url}/class/state", headers=headers, timeout=30)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    written = process.stdout.read() + process.stderr.read() + "".join(told)
    logs = b"".join(log.read_bytes() for log in paths.runtime_dir().glob("*"))
    for token in rows.values():
        assert token not in written and token.encode() not in logs
