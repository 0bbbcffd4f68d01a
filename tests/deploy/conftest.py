"""The stacks, synthesised once for all tests; without aws-cdk-lib they are skipped."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")

CONTEXT = {
    "alarm_email": "owner@example.org",
    "auth_modes": "api_key,iam,cognito,lambda",
    "handlers": str(ROOT / "scenarios/handlers/chat.js"),
    "namespaces": "default,quiet",
    "hourly_usd": "24",
}
"""Everything switched on; the defaults are tested by themselves."""


def require_deploy_extra(module):
    """Skip where only make synth would have installed what a test needs."""
    return pytest.importorskip(module, reason="make synth installs the extra deploy")


def lint(tool, *arguments):
    """Return exit code and output of a validator of the extra ``deploy``."""
    program = Path(sysconfig.get_path("scripts")) / tool
    if not program.is_file():
        pytest.skip("make synth installs the extra deploy")
    done = subprocess.run(
        [program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout


def synthesised(context):
    """Return the templates of an app with this context, as CDK's own assertions take them."""
    aws_cdk = require_deploy_extra("aws_cdk")
    from aws_cdk.assertions import Template

    from deploy.cdk.app import add_stacks
    from deploy.cdk.settings import read_settings

    stacks = add_stacks(aws_cdk.App(), read_settings(context))
    return {part: Template.from_stack(stack) for part, stack in stacks.items()}


@pytest.fixture(scope="session")
def templates():
    return synthesised(CONTEXT)


@pytest.fixture(scope="session")
def template_files(templates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    files = [folder / f"{part}.json" for part in templates]
    for file in files:
        file.write_text(json.dumps(templates[file.stem].to_json()), encoding="utf-8")
    return files
