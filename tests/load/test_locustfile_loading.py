import os
import sys

import pytest

from harness.core.child_python import python_command
from harness.core.errors import LocustfileError
from harness.load.locustfile_loading import load_locustfile, read_locustfile
from harness.load.user_classes import load_users
from tests.support.programs import finished


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
        ("x = 1\nraise KeyboardInterrupt\n", 2, "raises KeyboardInterrupt"),
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
    """Locust would not report it."""
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


@pytest.mark.parametrize("name", ["users", "a,b.py", "users.txt"])
def test_locustfile_that_locust_does_not_take_is_refused(write, name):
    """Locust would end without a word that the parent understands."""
    with pytest.raises(LocustfileError, match="Locust takes no such file"):
        read_locustfile(write("x = 1\n", name))


def test_locustfile_that_is_no_regular_file_is_refused(tmp_path):
    """Reading it might never end."""
    os.mkfifo(tmp_path / "users.py")
    with pytest.raises(LocustfileError, match="is no regular file"):
        read_locustfile(tmp_path / "users.py")


@pytest.mark.parametrize("name", ["gevent", "harness", "json", "orjson", "wave"])
def test_locustfile_called_like_a_package_is_refused(write, name):
    """Loaded or not: it would stand in for the package wherever that is imported."""
    before = sys.modules.get(name)
    file = write("x = 1\n", f"{name}.py")
    with pytest.raises(LocustfileError, match=f"is called like the package {name}"):
        load_locustfile(file)
    assert before is sys.modules.get(name)


def test_locustfile_imports_what_lies_beside_it_and_packages_before_the_working_directory(
    write, tmp_path, monkeypatch
):
    """Its own folder is its user's; the working directory may hold anything."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "wave.py").write_text("1 / 0\n", "utf-8")
    monkeypatch.chdir(here)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    write("x = 7\n", "beside_it_too.py")
    assert 7 == load_locustfile(write("import wave\nfrom beside_it_too import x\n")).x


def test_processes_of_ours_import_nothing_from_the_working_directory(tmp_path):
    """A file there may be called like any package."""
    for name in ("harness", "json", "gevent"):
        (tmp_path / f"{name}.py").write_text("1 / 0\n", "utf-8")
    done = finished(*python_command("harness"), "--version", cwd=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
