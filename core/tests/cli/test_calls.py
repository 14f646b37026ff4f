"""A command line becomes a call, and its answer what is printed."""


def test_an_operation_of_the_director_is_called_by_object_and_name(
    cps, configured, director, capsys
):
    row = {"aid": 1, "name": "x", "manager": None, "cloud": None, "status": "INIT"}
    director.answers["/application/create"] = row
    assert cps("cps-tools", "application", "create", "First app") == 0
    assert capsys.readouterr().out == "Application 'x' created with id 1.\n"
    (request,) = director.requests
    assert (request.method, request.path) == ("POST", "/api/v1/application/create")
    assert request.json == {"name": "First app"}
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Content-Type"] == "application/json"
