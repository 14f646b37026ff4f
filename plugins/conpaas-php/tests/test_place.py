"""PHP itself keeps the code in its place where it is told to (``open_basedir``)."""

from __future__ import annotations

import pytest

from conpaas_php.settings import PhpConfig
from conpaas_php.testing import Node, Site

STRICT = PhpConfig(open_basedir="on", disable_functions="").to_php()
FILES = {
    "run.php": "<?php eval(file_get_contents('php://input')); echo ' ran';",
    "page.php": "<?php echo $said ?? '', 'page';",
    # What one directory says is kept for minutes: each has its own.
    "open/.user.ini": 'open_basedir = "/"\nrealpath_cache_size = 1M\n',
    "open/run.php": "<?php eval(file_get_contents('php://input')); echo ' ran';",
    "first/.user.ini": "auto_prepend_file = own.php\n",
    "first/own.php": "<?php $said = 'own ';",
    "first/page.php": "<?php echo $said ?? '', 'page';",
    "outside/.user.ini": "auto_prepend_file = /etc/passwd\n",
    "outside/page.php": "<?php echo 'page';",
}
ATTACKS = {
    "read": "readfile('/etc/passwd');",
    "include": "include '/etc/passwd';",
    "dots": "chdir(__DIR__); readfile(str_repeat('../', 30) . 'etc/passwd');",
    "object": "try { (new SplFileObject('/etc/passwd'))->fpassthru(); } catch (Exception) {}",
    "wrapper": "readfile('php://filter/resource=/etc/passwd'); readfile('file:///etc/passwd');",
    "copy": "copy('/etc/passwd', __DIR__ . '/copied'); @readfile(__DIR__ . '/copied');",
    "glob": "foreach (glob('/etc/passw*') as $name) { echo 'root:', $name; }",
    "iterator": "try { foreach (new DirectoryIterator('glob:///etc/passw*') as $name)"
    " { echo 'root:', $name; } } catch (Exception) {}",
    "link by a program": "chdir(__DIR__); exec('ln -s /etc/passwd out'); readfile('out');",
    "ini_set": "ini_set('open_basedir', '/'); ini_set('open_basedir', '');"
    "ini_restore('open_basedir'); readfile('/etc/passwd');",
    # With an open_basedir that was set by ini_set, this leads to the root of all files.
    "relative ini_set": "chdir(__DIR__); ini_set('open_basedir', './..');"
    "for ($i = 0; $i < 30; $i++) { chdir('..'); }"
    "ini_set('open_basedir', '/'); readfile('/etc/passwd');",
    # A directory is exchanged for a link, by another process: PHP forgets what it does itself.
    "exchanged directory": "chdir(__DIR__); mkdir('etc'); touch('etc/passwd');"
    "mkdir($a = str_repeat('a/', 20), 0777, true);"
    "try { symlink($a, 's'); symlink('s/' . str_repeat('../', 20) . 'etc', 'd'); }"
    " catch (Error) {} readfile('etc/passwd');"
    "exec('mv etc old; mv d etc; rm s; mkdir s'); readfile('etc/passwd');",
    "FFI": "try { $c = FFI::cdef('int system(const char *c);'); $c->system('true');"
    " echo 'root:'; } catch (Throwable) {}",
}


@pytest.fixture(scope="module")
def node(site: Site) -> Node:
    """A machine that does everything, and forbids the code no function."""
    node = site.whole(FILES)
    node.agent.run_backend(site.backend_part(node, settings=STRICT))
    return node


@pytest.mark.parametrize("attack", ATTACKS)
def test_code_reads_nothing_outside_its_place(node: Node, attack: str) -> None:
    for directory in ("", "/open"):
        answer = node.ask(f"{directory}/run.php", "POST", ATTACKS[attack])
        assert answer.text.endswith(" ran")
        assert "root:" not in answer.text


def test_a_script_that_leads_out_of_the_place_is_not_run(node: Node) -> None:
    node.ask("/run.php", "POST", "chdir(__DIR__); exec('ln -s /etc/passwd lead.php');")
    answer = node.ask("/lead.php")
    assert (answer.status // 100, "root:" in answer.text) == (4, False)


def test_code_may_have_a_script_of_its_own_run_first(node: Node) -> None:
    assert node.ask("/first/page.php").text == "own page"
    assert "root:" not in node.ask("/outside/page.php").text
