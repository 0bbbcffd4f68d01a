"""The Containerfile, as far as it can be checked without building it."""

import re
import shlex
import tomllib

from deploy.image import CONTAINERFILE, REPORTS
from tests.deploy.conftest import ROOT, lint

LINES = (ROOT / CONTAINERFILE).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def instruction(name):
    """Return what stands behind every instruction of a name."""
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{name} ")]


def copied():
    """Return the files and folders that the wheel is built from."""
    lines = [shlex.split(line) for line in instruction("COPY")]
    return [source for words in lines if "--from=build" not in words for source in words[:-1]]


def test_hadolint_finds_nothing():
    """An independent linter takes the Containerfile."""
    assert (0, "") == lint("hadolint", ROOT / CONTAINERFILE)


def test_everything_copied_exists_and_is_let_in():
    """Each source is in the repository, and .dockerignore lets in those and nothing else."""
    assert [] == [source for source in copied() if not (ROOT / source).exists()]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert set(copied()) == {line[1:] for line in ignored if line.startswith("!")}


def test_wheel_of_the_image_is_whole():
    """Everything that pyproject.toml puts into the wheel is copied to where it is built."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, build = configured["project"], configured["tool"]["hatch"]["build"]["targets"]
    needed = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    assert needed | set(build["wheel"]["only-include"]) == set(copied())


def test_image_installs_the_wheel_and_nothing_of_the_checkout():
    """The last stage takes the wheel alone: no source tree, no editable install."""
    last = LINES[[n for n, line in enumerate(LINES) if line.startswith("FROM ")][-1] :]
    assert ["COPY --from=build /build/dist /wheel"] == [
        line for line in last if line.startswith("COPY ")
    ]
    assert "--editable" not in "\n".join(LINES)
    assert "set -- /wheel/*.whl " in "\n".join(last)


def test_entry_point_is_the_command_of_the_project():
    """The image starts what pyproject.toml installs, at a version of Python that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((command,),) = [re.findall(r'"([^"]+)"', line) for line in instruction("ENTRYPOINT")]
    assert command in project["scripts"]
    build, base = instruction("FROM")
    assert f"{base} AS build" == build
    least = tuple(map(int, re.findall(r"\d+", project["requires-python"])))
    assert least <= tuple(map(int, re.match(r"python:(\d+)\.(\d+)-slim", base).groups()))


def test_installs_are_pinned_and_fetch_nothing_else():
    """Each installation takes the versions of constraints.txt, and wheels alone."""
    installs = [part for line in instruction("RUN") for part in line.split("&&") if " pip " in part]
    built = [install for install in installs if " pip wheel " in install]
    assert (3, 1) == (len(installs), len(built))
    assert {"--no-deps", "--no-build-isolation"} <= set(shlex.split(built[0]))
    for install in set(installs) - set(built):
        words = shlex.split(install)
        assert "constraints.txt" == words[words.index("--constraint") + 1].rpartition("/")[2]
        assert ":all:" == words[words.index("--only-binary") + 1]


def test_user_is_not_root_and_owns_its_volume():
    """The user is a number, which runAsNonRoot wants, and the volume comes after the chown."""
    ((user, group),) = [line.split(":") for line in instruction("USER")]
    assert int(user) > 0
    assert int(group) > 0
    names = [line.split(maxsplit=1)[0] for line in LINES if re.match("[A-Z]+ ", line)]
    assert names.index("RUN") < names.index("VOLUME") < names.index("USER")
    assert [REPORTS] == instruction("VOLUME")
    assert "chown harness:harness reports" in " ".join(instruction("RUN"))


def test_reports_lie_in_the_working_directory():
    """``harness run`` writes into reports/ of the working directory, which is the volume."""
    assert REPORTS == f"{instruction('WORKDIR')[-1]}/reports"
