import sys

import pytest

from harness.core.errors import LocustfileError
from harness.load.loading import load_locustfile, read_locustfile
from harness.load.user_classes import load_users


@pytest.fixture(name="write")
def _write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def write(text, name="my_users.py"):
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("import gone_module\n", 1, "raises ModuleNotFoundError: No module named 'gone_module'"),
        ("x = 1\n\ndef f():\n    return 1 / 0\n\nf()\n", 4, "raises ZeroDivisionError: division"),
        ("x = 1\nclass A(:\n", 2, "has a syntax error: invalid syntax"),
        ("import sys\nsys.exit(3)\n", 2, "raises SystemExit: 3"),
    ],
)
def test_fault_of_a_locustfile_is_told_at_its_own_line(write, text, line, found):
    """No traceback through modules that are not the user's."""
    file = write(text)
    with pytest.raises(LocustfileError) as caught:
        load_locustfile(file)
    assert str(caught.value).startswith(f"{file}, line {line}: {found}")


def test_fault_in_a_module_beside_it_is_told_at_the_import(write):
    """That is the user's line to begin at."""
    write("x = [\n", "beside_it.py")
    file = write("import os\nimport beside_it\n")
    with pytest.raises(LocustfileError, match=r"line 2: raises SyntaxError: .*beside_it\.py"):
        load_locustfile(file)


@pytest.mark.parametrize(("name", "found"), [("gone.py", "does not exist"), (".", "is a folder")])
def test_locustfile_that_is_none_is_refused(tmp_path, name, found):
    """Before anything is started."""
    with pytest.raises(LocustfileError, match=found):
        read_locustfile(tmp_path / name)


def test_locustfile_without_user_classes_is_refused(write):
    """Locust would say so to nobody."""
    file = write("from locust import HttpUser\n")
    with pytest.raises(LocustfileError, match="has no User class, one is needed"):
        load_users(str(file))


def test_locustfile_gives_its_classes_and_no_abstract_ones(write):
    """What Locust would find in it."""
    file = write(
        "from locust import HttpUser, User\n"
        "class Browser(HttpUser):\n    host = 'http://127.0.0.1:1'\n"
        "class Base(User):\n    abstract = True\n"
    )
    assert ["Browser"] == list(load_users(str(file))[0])
