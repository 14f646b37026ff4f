"""Forms are what operations declare."""

import enum
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest

from conpaas.errors import InvalidError
from conpaas.frontend.fields import Choice
from conpaas.frontend.forms import operation_form
from conpaas.frontend.posted import Posted
from conpaas.rpc import PerRole, Upload, expose, operations
from conpaas.schema import Option
from conpaas.service_type import Role


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Everything:
    @expose()
    def paint(
        self,
        content: Annotated[Upload, "A picture"],
        title: Annotated[str, "What it is", msgspec.Meta(max_length=50)],
        story: Annotated[str, msgspec.Meta(max_length=5000)] = "",
        size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3,
        weight: float | None = None,
        colour: Colour = Colour.RED,
        frame: Literal["thin", "thick"] | None = None,
        glossy: bool = False,
        framed: bool = True,
        signed: bool | None = None,
        password: Annotated[str, Option(secret=True)] = "",
        tags: tuple[str, ...] = (),
        at: Point | None = None,
        owner: Annotated[str | int | None, "Name or id"] = None,
        nodes: Annotated[dict[str, int], PerRole()] = {},  # noqa: B006 - never called
    ) -> None:
        """Paint."""

    @expose()
    def lock(
        self,
        password: Annotated[str, Option(secret=True)],
        present: Annotated[str, Option(secret=True, known=True)],
    ) -> None:
        """Lock everything away."""

    @expose(confirm="It is lost.")
    def delete_picture(self, picture: str) -> None:
        """Delete a picture."""

    @expose(confirm="All are lost.")
    def delete(self) -> None:
        """Delete everything."""


ROLES = (Role("web", "Serves"), Role("backend", "Works"), Role("head", "Is there", fixed=True))
GOOD = {"title": "Sea", "size": "3", "framed": "on", "colour": "red", "nodes.web": "0"}


def paint(**how):
    return operation_form(operations(Everything)["paint"], "/paint", roles=ROLES, **how)


def read(**texts):
    form = paint()
    return form, form.arguments(Posted({**GOOD, **texts}, Upload(None)))


def test_each_type_has_its_field():
    kinds = {field.name: field.kind for field in paint().fields}
    assert kinds == {
        "title": "text", "story": "long", "size": "number", "weight": "decimal",
        "colour": "choice", "frame": "choice", "glossy": "switch", "framed": "switch",
        "signed": "choice", "password": "secret", "tags": "lines", "at": "json",
        "owner": "text", "nodes.web": "count", "nodes.backend": "count", "content": "file",
    }  # fmt: skip


def test_a_file_comes_last_so_that_all_else_is_known_before_it():
    assert paint().fields[-1].name == "content"


def test_fields_tell_limits_defaults_and_help():
    fields = {field.name: field for field in paint().fields}
    assert (fields["size"].least, fields["size"].most, fields["size"].value) == (1, 9, "3")
    assert fields["title"].longest == 50 and fields["title"].help == "What it is"
    assert fields["title"].required and not fields["story"].required
    assert fields["framed"].value and not fields["glossy"].value
    assert [c.value for c in fields["colour"].choices] == ["red", "blue"]
    assert [c.value for c in fields["frame"].choices] == ["", "thin", "thick"]
    assert [c.value for c in fields["signed"].choices] == ["", "yes", "no"]


def test_what_is_typed_becomes_the_arguments():
    _, arguments = read(
        story="a\r\nb ", size="9", weight="1.5", colour="blue", frame="thin", glossy="on",
        framed="", signed="no", password=" p ", tags="a\n\n b \n", at='{"x": 1}', owner="ann",
        **{"nodes.backend": "2"},
    )  # fmt: skip
    assert arguments == {
        "title": "Sea", "story": "a\nb ", "size": 9, "weight": 1.5, "colour": "blue",
        "frame": "thin", "glossy": True, "framed": False, "signed": False, "password": " p ",
        "tags": ["a", "b"], "at": {"x": 1}, "owner": "ann", "nodes": {"backend": 2},
    }  # fmt: skip


def test_what_is_left_alone_is_not_said():
    _, arguments = read()
    assert arguments == {
        "title": "Sea", "size": 3, "framed": True, "glossy": False, "colour": "red", "nodes": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("title", " ", "this is needed"),
        ("title", "x" * 51, "must have at most 50 characters"),
        ("size", "10", "must be at most 9"),
        ("size", "many", "is not a number"),
        ("colour", "green", "invalid"),
        ("at", "{", "not JSON"),
        ("at", '{"x": "y"}', "expected"),
        ("nodes.web", "two", "is not a number"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(name, text, told):
    form = paint()
    with pytest.raises(InvalidError):
        form.arguments(Posted({**GOOD, name: text}, Upload(None)))
    wrong = [field for field in form.fields if field.error]
    assert len(wrong) == 1 and wrong[0].name.partition(".")[0] == name.partition(".")[0]
    assert told in wrong[0].error.lower() or told in wrong[0].error


def test_everything_that_is_wrong_is_told_at_once():
    form = paint()
    with pytest.raises(InvalidError):
        form.arguments(Posted({"size": "x"}))
    assert {about for about, _ in form.errors} == {"field-content", "field-title", "field-size"}


def test_a_form_shown_again_has_what_was_typed_but_no_secrets():
    form = paint()
    form.fill(Posted({"title": "<Sea>", "password": "secret", "glossy": "on", "size": "x"}))
    fields = {field.name: field.value for field in form.fields}
    assert fields["title"] == "<Sea>" and fields["size"] == "x" and fields["glossy"] == "on"
    assert fields["framed"] == "" and fields["password"] == ""


def test_a_new_secret_must_be_typed_the_same_twice():
    form = operation_form(operations(Everything)["lock"], "/lock", twice=True)
    names = [field.name for field in form.fields]
    assert names == ["password", "password.again", "present"]
    typed = {"password": "abc", "present": "x", "password.again": "abc"}
    assert form.arguments(Posted(typed)) == {"password": "abc", "present": "x"}
    for other in ("abd", ""):
        with pytest.raises(InvalidError, match="the two are not the same"):
            form.arguments(Posted({**typed, "password.again": other}))
    once = operation_form(operations(Everything)["lock"], "/lock")
    assert once.arguments(Posted({"password": "abc", "present": "x"}))


def test_an_error_of_the_call_is_told_at_the_field_that_it_names():
    form = paint()
    form.blame(InvalidError("title: it is taken"))
    assert form.errors == [("field-title", "Title: it is taken")]
    form = paint()
    form.blame(InvalidError("the sea is rough"))
    assert form.errors == [("", "the sea is rough")]


def test_emptying_a_field_that_was_filled_says_so():
    form = paint(values={"story": "long ago"})
    arguments = form.arguments(Posted({**GOOD, "story": ""}, Upload(None)))
    assert arguments["story"] == ""


def test_what_can_be_chosen_is_offered():
    fields = {f.name: f for f in paint(choices={"owner": [Choice("ann", "Ann")]}).fields}
    assert fields["owner"].kind == "choice"
    assert [c.value for c in fields["owner"].choices] == ["", "ann"]


def test_what_is_deleted_is_typed_first():
    declared = operations(Everything)
    assert operation_form(declared["delete"], "/", must_type="shop").must_type == "shop"
    named = operation_form(declared["delete_picture"], "/", values={"picture": "sea"})
    assert named.must_type == "sea" and named.fields[0].hidden
    # Typed into its own field, it has been typed.
    assert operation_form(declared["delete_picture"], "/", must_type="shop").must_type == ""


class Safe:
    @expose()
    def lock(
        self,
        code: Annotated[str, "New code", Option(secret=True)],
        current: Annotated[str, "Old code", Option(secret=True, known=True)] = "",
    ) -> None:
        """Lock it."""


def test_a_new_secret_is_typed_twice_and_one_that_is_known_once():
    form = operation_form(operations(Safe)["lock"], "/lock", twice=True)
    assert [one.name for one in form.fields] == ["code", "code.again", "current"]
    assert {one.kind for one in form.fields} == {"secret"}
    same = Posted({"code": "a b ", "code.again": "a b "})
    assert form.arguments(same) == {"code": "a b "}
    with pytest.raises(InvalidError, match="the two are not the same"):
        form.arguments(Posted({"code": "a b", "code.again": "a  b"}))
    assert form.fields[0].error == "the two are not the same"
    assert [one.value for one in form.fields] == ["", "", ""]
