"""Images are made once, whole or not at all, and removed when nobody needs them."""

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conpaas.clouds.local import LocalCloud, LocalSettings
from conpaas.errors import CloudError
from conpaas.images import Recipe, build_base, build_local_image, prune_images
from conpaas.images.build import DIRECTORY
from conpaas.images.code import Distribution
from conpaas.images.directory import building, note_layers

DAY = 24 * 3600
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="images are built by root")


@pytest.mark.machines
@needs_root
def test_an_image_has_our_code_under_debians_python_and_is_made_once():
    told = []
    name = build_local_image(DIRECTORY, [], told.append)
    image = DIRECTORY / name
    script = "import conpaas.errors, sys; print(sys.base_prefix, *sys.version_info[:2])"
    python = ["chroot", str(image), "/opt/conpaas/bin/python", "-c", script]
    assert subprocess.check_output(python, text=True) == "/usr 3 11\n"
    assert (image / "opt/conpaas/bin/conpaas-machine").exists()
    assert not (image / "opt/scratch").exists()
    assert (image / "usr/sbin/policy-rc.d").read_text() == "#!/bin/sh\nexit 101\n"
    told.clear()
    assert build_local_image(DIRECTORY, [], told.append) == name
    assert told == []


@needs_root
def test_what_an_interrupted_build_left_is_never_an_image_and_goes(tmp_path):
    recipe = Recipe(("nothing",))
    (tmp_path / recipe.name).mkdir()
    left = tmp_path / ".new-conpaas-0123"
    (left / "etc").mkdir(parents=True)
    (left / "proc").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(left / "proc")], check=True)
    assert build_base(tmp_path, recipe) == recipe.name
    assert not left.exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@needs_root
def test_a_failed_build_shows_the_end_of_the_log_and_leaves_nothing(tmp_path):
    sources = tmp_path / "none.sources"
    sources.write_text(
        "Types: deb\nURIs: file:///no/such/mirror\nSuites: bookworm\nComponents: main\n"
    )
    directory = tmp_path / "images"
    with pytest.raises(CloudError, match=r"(?s)mmdebstrap failed.*no/such/mirror"):
        build_base(directory, Recipe(("tini",)), sources=sources)
    assert os.listdir(directory) == [".lock"]


@needs_root
def test_two_builds_wait_for_each_other(tmp_path):
    told = []
    with building(tmp_path, told.append):
        child = os.fork()
        if child == 0:
            with building(tmp_path, lambda text: (tmp_path / "told").write_text(text)):
                os._exit(0 if (tmp_path / "first-is-done").exists() else 1)
        while not (tmp_path / "told").exists():
            pass
        (tmp_path / "first-is-done").touch()
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "told").read_text() == "waiting for another build"


def test_the_digest_of_code_follows_the_code_and_not_its_tests(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("1")
    ours = Distribution("ours", "ours", tmp_path)
    before = ours.digest
    for ignored in ("tests/test_a.py", "src/__pycache__/a.pyc", ".git/HEAD", "x.egg-info/PKG"):
        path = tmp_path / ignored
        path.parent.mkdir(exist_ok=True)
        path.write_text("anything")
    assert ours.digest == before
    (tmp_path / "src/a.py").write_text("2")
    assert ours.digest != before


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('[build-system]\nrequires = ["hatchling"]', True),
        ('[build-system]\nrequires = ["hatchling>=1", "tomli; python_version < \'3\'"]', True),
        ('[build-system]\nrequires = ["hatchling", "of-this-name-there-is-nothing"]', False),
        ('[build-system]\nrequires = ["hatchling>=9999"]', False),
        ('[build-system]\nrequires = ["hatch ling"]', False),
        ("[project]", False),
        ("[", False),
        (None, False),
    ],
)
def test_what_is_needed_to_build_a_wheel_is_fetched_only_if_it_is_not_here(
    tmp_path, told, expected
):
    if told is not None:
        (tmp_path / "pyproject.toml").write_text(told)
    assert Distribution("ours", "ours", tmp_path).is_built_here is expected
    assert not Distribution("ours", "ours==1", None).is_built_here


@needs_root
def test_pruning_keeps_the_newest_and_what_machines_boot_from(tmp_path):
    cloud, images = tmp_path / "cloud", tmp_path / "images"
    for age, name in enumerate(("conpaas-used", "conpaas-old", "conpaas-kept", "conpaas-new")):
        _image(images, name, asked=age)
    (cloud / "machines/m-1").mkdir(parents=True)
    (cloud / "machines/m-1/meta.json").write_text(json.dumps({"image": "conpaas-used"}))
    (images / ".users").mkdir()
    (images / ".users/here").symlink_to(cloud)
    (images / ".users/gone").symlink_to(tmp_path / "gone")
    assert prune_images(images, keep=["conpaas-kept"]) == ["conpaas-old"]
    assert sorted(os.listdir(images)) == [
        ".lock", ".users", "conpaas-kept", "conpaas-new", "conpaas-used"
    ]  # fmt: skip
    assert os.listdir(images / ".users") == ["here"]
    assert prune_images(images, keep=["conpaas-kept"]) == []


@needs_root
def test_pruning_keeps_the_newest_few_with_the_same_packages_and_what_they_are_made_of(tmp_path):
    now = time.time()
    for days in range(1, 6):
        for base in ("base-a", "base-b"):
            _image(tmp_path, f"conpaas-{base[-1]}{days}", now - days * DAY, base, "wheels-1")
    _image(tmp_path, "conpaas-c40", now - 40 * DAY, "base-c", "wheels-2")
    for layer, days in (("a", 9), ("b", 8), ("c", 40), ("d", 7)):
        _layer(tmp_path, f"base-{layer}", now - days * DAY)
    for layer, days in (("1", 9), ("2", 40), ("3", 0)):
        _layer(tmp_path, f"wheels-{layer}", now - days * DAY)
    told = []
    gone = prune_images(tmp_path, progress=told.append)
    assert sorted(gone) == [
        "base-c", "conpaas-a4", "conpaas-a5", "conpaas-b4", "conpaas-b5", "conpaas-c40", "wheels-2"
    ]  # fmt: skip
    assert told == ["removing 5 images and 2 layers that nothing uses any more"]
    assert not {*gone} & {*os.listdir(tmp_path)}


@needs_root
def test_pruning_that_has_no_more_time_leaves_the_rest_for_the_next_time(tmp_path):
    for age in range(5):
        _image(tmp_path, f"conpaas-{age}", asked=age)
    told = []
    assert prune_images(tmp_path, seconds=0, progress=told.append) == []
    assert told[1] == "  4 images will go the next time"
    assert len(prune_images(tmp_path)) == 4


@needs_root
def test_pruning_leaves_the_images_that_others_have_just_asked_for(tmp_path):
    now = time.time()
    for minutes in range(10):
        _image(tmp_path, f"conpaas-{minutes}", now - 60 * minutes)
    assert prune_images(tmp_path) == []


@needs_root
def test_pruning_leaves_the_image_that_a_cloud_without_machines_boots_from_now_on(tmp_path):
    images = tmp_path / "images"
    for age in range(9):
        _image(images, f"conpaas-{age}", asked=age)
    settings = LocalSettings(directory=str(tmp_path / "cloud"), images=str(images))
    for image in ("conpaas-1", "conpaas-2"):
        LocalCloud("local", replace(settings, image=image), "test").image()
    gone = prune_images(images, newest=1)
    assert gone == [f"conpaas-{age}" for age in (0, 1, 3, 4, 5, 6, 7)]


def _image(directory, name, asked, *layers):
    (directory / name / "etc").mkdir(parents=True)
    if layers:
        (directory / name / "opt/conpaas").mkdir(parents=True)
        note_layers(directory / name, layers)
    os.utime(directory / name, (asked, asked))


def _layer(directory, name, asked):
    (directory / name).mkdir()
    os.utime(directory / name, (asked, asked))
