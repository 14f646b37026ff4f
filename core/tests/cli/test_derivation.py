"""Declared operations become commands: what is positional, what an option, and of which kind."""

import pytest

from conpaas.cli.failure import Missing, Usage
from conpaas.cli.parser import parse

NEEDED = ["1", "2", "pie", "1.5", "rye", "yes"]


@pytest.fixture
def read(index):
    """Parse words after an operation of the bakery."""

    def read(operation, *words, object_name="bakery"):
        return parse(index.commands(object_name)[operation], list(words))

    return read


def test_what_has_no_default_is_positional_and_in_order(read):
    assert read("bake", *NEEDED).argument == {
        "application": 1,
        "service": 2,
        "name": "pie",
        "weight": 1.5,
        "flour": "rye",
        "warm": True,
    }


def test_a_name_is_text_and_a_number_an_id(read):
    parsed = read("list_cakes", "My app", "3")
    assert parsed.argument == {"application": "My app", "service": 3}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--pieces", "3"], {"pieces": 3}),
        (["--pieces=3"], {"pieces": 3}),
        (["--pieces", "-3"], {"pieces": -3}),
        (["--size", "large"], {"size": "large"}),
        (["-s", "large"], {"size": "large"}),
        (["-slarge"], {"size": "large"}),
        (["--with-cream"], {"with_cream": True}),
        (["--with_cream"], {"with_cream": True}),
        (["--no-glaze"], {"glaze": False}),
        (["--toppings", "nut", "--toppings", "plum"], {"toppings": ["nut", "plum"]}),
        (["--oven-settings", '{"heat": 200}'], {"oven_settings": {"heat": 200}}),
        (["--fresh", "no"], {"fresh": False}),
        ([], {}),
    ],
)
def test_what_has_a_default_is_an_option_and_is_sent_only_when_given(read, words, expected):
    given = read("bake", *NEEDED, *words).argument
    assert given == read("bake", *NEEDED).argument | expected
    assert read("bake", *words, *NEEDED).argument == given


@pytest.mark.parametrize("flag", ["--nonsense", "--something", "-n", "--zz"])
def test_an_option_that_is_like_no_other_is_refused_and_none_is_suggested(read, flag):
    with pytest.raises(Usage) as caught:
        read("bake", *NEEDED, flag)
    assert caught.value.message == f"there is no option {flag}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([*NEEDED, "--pieces", "many"], "--pieces: 'many' is not a whole number"),
        ([*NEEDED, "--pieces"], "--pieces needs a value"),
        ([*NEEDED, "--pieces", "--no-glaze"], "--pieces needs a value"),
        ([*NEEDED, "--size", "larg"], "--size: 'larg' is not one of small, large; did you mean"),
        ([*NEEDED, "--with-cream=no"], "--with-cream takes no value"),
        ([*NEEDED, "--oven-settings", "{"], "--oven-settings: '{' is not JSON"),
        ([*NEEDED, "--peices", "1"], "no option --peices; did you mean '--pieces'?"),
        ([*NEEDED, "--peces=1"], "no option --peces; did you mean '--pieces'?"),
        ([*NEEDED, "more"], "'more': too many arguments"),
        ([*NEEDED[:3], "heavy", "rye", "yes"], "<weight>: 'heavy' is not a number"),
        ([*NEEDED[:4], "oats", "yes"], "<flour>: 'oats' is not one of wheat, rye"),
        ([*NEEDED[:5], "perhaps"], "<warm>: 'perhaps' is neither yes nor no"),
    ],
)
def test_what_does_not_fit_is_told_with_its_name(read, words, complaint):
    with pytest.raises(Usage) as caught:
        read("bake", *words)
    assert complaint in caught.value.message


def test_a_missing_argument_is_named_as_the_help_names_it(read):
    with pytest.raises(Missing, match="<app_name_or_id> is missing"):
        read("bake")
    with pytest.raises(Missing, match="<flour> is missing"):
        read("bake", *NEEDED[:4])


def test_words_after_two_dashes_are_no_options(read):
    assert read("eat", "1", "2", "--", "--cake").argument["name"] == "--cake"


def test_an_option_may_be_positional_and_a_required_argument_an_option(read):
    assert read("rest", "1", "2", "30").argument["minutes"] == 30
    assert "minutes" not in read("rest", "1", "2").argument
    assert read("set_password", "1", "2", "-p", "x").argument["password"] == "x"


def test_an_operation_keeps_its_own_short_options(read):
    assert read("get_recipe", "1", "2", "-f", "long").argument["format"] == "long"
    with pytest.raises(Usage, match="-f"):
        read("download_cake", "1", "2", "-f", "json")
    started = read("start", "1", "2", "-c", "cloud", "--column", "x")
    assert (started.argument["cloud"], started.switch["column"]) == ("cloud", ["x"])


def test_nodes_are_counted_by_role_and_fixed_roles_are_not_offered(read):
    assert read("add_nodes", "1", "2").role == {}
    assert read("add_nodes", "1", "2", "--counter", "2", "--count=1").role == {
        "counter": 2,
        "count": 1,
    }
    with pytest.raises(Usage, match="there is no option --cellar"):
        read("add_nodes", "1", "2", "--cellar", "2")


def test_the_object_service_has_the_roles_of_every_type(read):
    assert read("add_nodes", "1", "2", "--oven", "1", object_name="service").role == {"oven": 1}


def test_the_line_that_the_manual_misprints_works(read):
    assert read("add_nodes", "1", "1", "--", "oven", "2").role == {"oven": 2}


def test_a_type_has_its_own_operations_those_of_every_service_and_those_about_services(index):
    operations = set(index.objects["bakery"]["operations"])
    assert operations >= {"bake", "start", "add_nodes", "add", "list", "remove", "get_types"}
    assert "secret_of_the_house" not in operations
    assert "bake" not in index.objects["service"]["operations"]
    assert set(index.objects["service"]["operations"]) <= operations


def test_hidden_operations_are_no_commands(index):
    operations = set(index.objects["user"]["operations"])
    assert operations >= {"get_config", "get_certificate", "register", "passwd"}
    assert not operations & {"open_session", "close_session", "get_overview", "sign_certificate"}


def test_a_type_does_not_ask_which_type(index):
    names = [one["name"] for one in index.commands("bakery")["add"]["arguments"]]
    assert "service_type" not in names
    assert index.commands("bakery")["add"]["preset"] == {"service_type": "bakery"}
    assert index.commands("service")["add"]["preset"] == {}
