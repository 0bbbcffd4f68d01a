"""The Kubernetes manifests, against Kubernetes' own schemas and against the harness."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from deploy.image import REPORTS
from harness.cli.app import VERBS
from harness.scenario.loading import load_scenario
from tests.deploy.conftest import ROOT, require_deploy_extra
from tests.support.waiting import PATIENCE_S

FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
KUSTOMIZATION = FOLDER / "kustomization.yaml"
OLDEST, NEWEST = "1.29", "1.37"
"""Ports of one's own (a safe sysctl), Indexed Jobs and the rest have been there since long."""


def documents():
    """Return every resource of the folder, with its file's name for a test id."""
    return [
        pytest.param(one, id=f"{file.stem}-{one['kind']}")
        for file in FILES
        if file != KUSTOMIZATION
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]


def resource(kind, name):
    found = [parameter.values[0] for parameter in documents()]
    return next(one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name))


def pod_specs():
    return {
        "master": resource("Job", "fanout-master")["spec"]["template"]["spec"],
        "worker": resource("Job", "fanout-worker")["spec"]["template"]["spec"],
        "reader": resource("Pod", "fanout-reader")["spec"],
    }


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", documents())
def test_resource_has_the_shape_kubernetes_wants(document, version):
    """Each resource validates strictly: no field is unknown, none has the wrong type."""
    require_deploy_extra("kubernetes_validate").validate(document, version, strict=True)


def test_validator_sees_a_planted_mistake():
    """A field that Kubernetes does not know is refused, so silence means something."""
    validator = require_deploy_extra("kubernetes_validate")
    job = resource("Job", "fanout-worker")
    job["spec"]["workers"] = 4
    with pytest.raises(validator.ValidationError, match="workers"):
        validator.validate(job, NEWEST, strict=True)


def test_kustomization_names_every_file():
    """What is applied is what lies there; the reader alone is applied by hand, after the run."""
    kustomization = yaml.safe_load(KUSTOMIZATION.read_text(encoding="utf-8"))
    applied = {FOLDER / name for name in kustomization["resources"]}
    assert {KUSTOMIZATION, FOLDER / "reader.yaml"} == {*FILES} - applied
    for file in kustomization["configMapGenerator"][0]["files"]:
        load_scenario(FOLDER / file)


def test_master_waits_for_as_many_workers_as_there_are():
    """Parallelism, completions and --expect-workers agree before kustomize makes them."""
    spec = resource("Job", "fanout-worker")["spec"]
    arguments = pod_specs()["master"]["containers"][0]["args"]
    (expected,) = [one for one in arguments if one.startswith("--expect-workers=")]
    assert (4, 4, "4") == (spec["parallelism"], spec["completions"], expected.split("=")[1])


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kustomize_carries_the_number_of_workers(tmp_path):
    """Changing parallelism, the only place, changes completions and --expect-workers too."""
    folder = shutil.copytree(FOLDER, tmp_path / "kubernetes")
    worker = folder / "worker.yaml"
    text = worker.read_text(encoding="utf-8")
    worker.write_text(text.replace("parallelism: 4", "parallelism: 17"), encoding="utf-8")
    done = subprocess.run(
        ["kubectl", "kustomize", folder],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert 17 == made["Job", "fanout-worker"]["spec"]["completions"]
    master = made["Job", "fanout-master"]["spec"]["template"]["spec"]["containers"][0]
    assert "--expect-workers=17" in master["args"]
    assert {"fanout"} == {
        one["metadata"]["namespace"] for key, one in made.items() if key[0] != "Namespace"
    }


def test_pods_run_as_the_images_user_and_no_more():
    """No pod runs as root, gains privileges, keeps a capability or holds a cluster's token."""
    user = re.search(
        r"^USER (\d+):(\d+)$", (ROOT / "Containerfile").read_text("utf-8"), re.MULTILINE
    )
    for spec in pod_specs().values():
        assert user.groups() == tuple(
            str(spec["securityContext"][key]) for key in ("runAsUser", "runAsGroup")
        )
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            context = container["securityContext"]
            assert not context["allowPrivilegeEscalation"]
            assert context["readOnlyRootFilesystem"]
            assert ["ALL"] == context["capabilities"]["drop"]
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_runs_are_never_repeated_by_kubernetes():
    """Neither Job tries again: every run costs money, and a new worker would come late."""
    for name in ("fanout-master", "fanout-worker"):
        spec = resource("Job", name)["spec"]
        assert (0, "Never") == (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"])


def test_record_outlives_the_master():
    """Master writes and reader reads the same claim, at the folder the image declares."""
    master, reader = pod_specs()["master"], pod_specs()["reader"]
    assert [REPORTS, REPORTS] == [
        mount["mountPath"]
        for spec in (master, reader)
        for mount in spec["containers"][0]["volumeMounts"]
        if mount["name"] == "results"
    ]
    assert ["fanout-results"] * 2 == [
        volume["persistentVolumeClaim"]["claimName"]
        for spec in (master, reader)
        for volume in spec["volumes"]
        if volume["name"] == "results"
    ]
    assert resource("PersistentVolumeClaim", "fanout-results")


def test_secrets_are_named_and_never_written():
    """The only source of credentials is a Secret that somebody else makes."""
    for role in ("master", "worker"):
        (source,) = pod_specs()[role]["containers"][0]["envFrom"]
        assert {"secretRef": {"name": "fanout-credentials"}} == source
    assert "Secret" not in {parameter.values[0]["kind"] for parameter in documents()}


def test_target_is_the_one_for_the_real_service():
    """The fleet's target says what the scenarios' own says."""
    ours, theirs = (
        tomllib.loads(file.read_text(encoding="utf-8"))
        for file in (FOLDER / "target.toml", ROOT / "scenarios/targets/appsync-events-aws.toml")
    )
    assert theirs == ours


@pytest.mark.skipif(
    "worker" not in {verb.name for verb in VERBS}, reason="the verb is not in this checkout"
)
@pytest.mark.parametrize("role", ["master", "worker"])
def test_arguments_are_those_of_the_harness(role):
    """Each pod starts a verb there is, with flags that its help lists."""
    verb, *arguments = pod_specs()[role]["containers"][0]["args"]
    command = [sys.executable, "-m", "harness", verb, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    flags = {one.split("=")[0] for one in arguments if one.startswith("--")}
    assert flags <= set(re.findall(r"--[a-z-]+", done.stdout))
