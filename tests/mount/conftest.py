"""Fixtures of the tests that mount.

The program is build/weightfs, or what the environment variable WEIGHTFS names.
Sources and mountpoints live in build/work: below /tmp some tools behave otherwise.
"""
import os
import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import judge as judge_module  # noqa: E402
import mounts  # noqa: E402
import tools  # noqa: E402
from fixtures import FIXTURE_DIR  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="loops of full length")


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitized: also run with the sanitizer builds")
    if not os.access(mounts.BINARY, os.X_OK):
        raise pytest.UsageError("%s is not there: run make" % mounts.BINARY)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def long(request):
    """Whether the loops run at full length."""
    return request.config.getoption("--long")


@pytest.fixture
def shop(request):
    """A directory of its own for the test, and mounts that end with it."""
    name = "%s-%d" % (request.node.path.stem, os.getpid())
    made = mounts.Workshop(mounts.WORK / name)
    yield made
    report = getattr(request.node, "report_call", None)
    made.close(clean=report is not None and report.passed)


@pytest.fixture
def fixture_copy(shop):
    """Copies a directory of tests/fixtures to where it may be changed."""
    def copy(name, to=None):
        target = shop.directory / (to or name)
        shutil.copytree(FIXTURE_DIR / name, target)
        return target
    return copy


@pytest.fixture
def adam(shop, fixture_copy):
    """Three steps of a TF1 model with Adam, mounted: (source, mount)."""
    source = fixture_copy("v2_tf1_adam")
    return source, shop.mount(source)


@pytest.fixture
def lab(shop, judge):
    """Four small checkpoints, mounted (see tools.py)."""
    return tools.Lab(shop, judge)


@pytest.fixture
def sync_lab(shop, judge):
    """The same with -o sync."""
    return tools.Lab(shop, judge, "sync")


@pytest.fixture
def saved_program(shop, judge):
    """Saves a program (programs.py): (prefix, its directory in a mount, values, mount)."""
    def make(program, slots=None):
        source = shop.directory / "runs"
        source.mkdir()
        values = judge.program_save(source / "ckpt", program, slots)
        mount = shop.mount(source)
        return source / "ckpt", mount / "ckpt", values, mount
    return make


@pytest.fixture
def saved_programs(shop, judge):
    """Saves several into one directory: (directory, mount, {name: values})."""
    def make(**made):
        source = shop.directory / "runs"
        source.mkdir()
        values = {n: judge.program_save(source / n, *p) for n, p in made.items()}
        return source, shop.mount(source), values
    return make


@pytest.fixture(scope="session")
def judge():
    """Real TensorFlow, in a process of its own."""
    with judge_module.Judge() as made:
        yield made


@pytest.fixture
def rival():
    """A second TensorFlow process, to save while the test does other things."""
    with judge_module.Judge() as made:
        yield made


@pytest.fixture
def dice(request):
    """Random numbers that a failing test names, and that a rerun can repeat."""
    seed = int(os.environ.get("WEIGHTFS_SEED", random.randrange(1 << 30)))
    request.node.add_report_section("setup", "seed", "WEIGHTFS_SEED=%d" % seed)
    return random.Random(seed)
