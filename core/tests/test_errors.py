"""Errors travel: what one side raises, the other side raises again."""

import pytest

from conpaas.errors import BusyError, ConPaaSError, NotFoundError, WrongStateError


@pytest.mark.parametrize("kind", ConPaaSError.classes().values())
def test_an_error_arrives_as_the_class_that_was_raised(kind):
    sent = kind("something is so", detail={"number": 3})
    arrived = ConPaaSError.from_json(sent.to_json())
    assert (type(arrived), arrived.message, arrived.detail) == (kind, sent.message, sent.detail)


@pytest.mark.parametrize("kind", ConPaaSError.classes().values())
def test_each_error_has_a_status_of_its_own_kind_and_tells_what_to_do(kind):
    assert 400 <= kind.status < 600
    assert kind.__doc__ and ": " in kind.__doc__


def test_two_errors_never_share_a_code():
    codes = [cls.code for cls in _subclasses(ConPaaSError)]
    assert sorted(codes) == sorted(set(codes))


def test_a_code_that_nobody_here_knows_arrives_as_the_base_class():
    arrived = ConPaaSError.from_json({"code": "from-the-future", "message": "hello"})
    assert type(arrived) is ConPaaSError
    assert str(arrived) == "hello"


@pytest.mark.parametrize("told", [{}, {"code": None}, {"code": ["busy"]}, {"message": 3}])
def test_an_error_that_says_little_is_still_an_error(told):
    assert isinstance(ConPaaSError.from_json(told), ConPaaSError)


def test_wrong_state_and_busy_have_one_status_and_two_codes():
    assert WrongStateError.status == BusyError.status == 409
    assert WrongStateError.code != BusyError.code


def test_an_error_is_caught_by_its_class():
    with pytest.raises(NotFoundError, match="nowhere"):
        raise ConPaaSError.from_json({"code": "not-found", "message": "nowhere"})


def _subclasses(cls):
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)
