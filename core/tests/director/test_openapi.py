"""The description of the API is OpenAPI 3.1, and leaves nothing out."""

import re

import pytest

from conpaas.rpc import operations


@pytest.fixture
def described(cluster, call_as):
    return call_as().get("openapi.json").json


def references(thing):
    """Go through every ``$ref``."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from references(value)


def test_it_has_the_structure_of_openapi(described):
    assert re.fullmatch(r"3\.1\.\d", described["openapi"])
    assert {"title", "version"} <= described["info"].keys()
    schemes = described["components"]["securitySchemes"]
    assert {name for each in described["security"] for name in each} <= schemes.keys()
    for path, item in described["paths"].items():
        assert path.startswith("/api/v1/")
        assert item.keys() <= {"get", "post", "parameters"}
        for operation in item.values():
            assert operation["summary"].endswith(".")
            assert operation["responses"]
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d|default", status)
                assert response["description"]
            for parameter in operation.get("parameters", []):
                assert {"name", "in", "schema"} <= parameter.keys()
                assert parameter["in"] in ("query", "path", "header")
                assert parameter["in"] != "path" or parameter["required"] is True
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]


def test_each_operation_has_an_id_of_its_own(described):
    found = [
        operation["operationId"]
        for item in described["paths"].values()
        for operation in item.values()
    ]
    assert len(found) == len(set(found))


def test_each_variable_of_a_path_is_described_and_each_described_one_is_there(described):
    for path, item in described["paths"].items():
        for operation in item.values():
            told = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert told == set(re.findall(r"\{(\w+)\}", path)), path


def test_each_reference_leads_somewhere(described):
    schemas = described["components"]["schemas"]
    found = set(references(described))
    assert found
    for reference in found:
        assert reference.startswith("#/components/schemas/")
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_operation_that_people_call_is_there(cluster, described):
    for cls in cluster.plugins.api:
        for operation in operations(cls).values():
            if not operation.hidden:
                assert f"/api/v1/{cls.object}/{operation.name}" in described["paths"]
    service = "/api/v1/applications/{application}/services/{service}"
    for operation in operations(cluster.plugins.service("simple").manager_class).values():
        there = f"{service}/{operation.name}" in described["paths"]
        assert there is not operation.hidden, operation.name


def test_the_desk_of_managers_is_nobody_elses_business(described):
    assert not [path for path in described["paths"] if path.startswith("/api/v1/manager/")]


def test_the_arguments_are_those_of_the_declaration(described):
    post = described["paths"]["/api/v1/application/rename"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["application", "new_name"]
    assert schema["additionalProperties"] is False
    assert post["requestBody"]["required"] is True
    start = described["paths"]["/api/v1/application/start"]["post"]
    assert "202" in start["responses"]
    assert start["x-states"] == ["INIT", "STOPPED"]
    cloud = start["requestBody"]["content"]["application/json"]["schema"]["properties"]["cloud"]
    assert cloud["default"] is None


def test_a_file_is_a_binary_body_and_a_binary_answer(described):
    service = "/api/v1/applications/{application}/services/{service}"
    put = described["paths"][f"{service}/put_file"]["post"]
    assert "application/octet-stream" in put["requestBody"]["content"]
    get = described["paths"][f"{service}/get_file"]["post"]
    assert "application/octet-stream" in get["responses"]["200"]["content"]


def test_the_page_lists_every_path_and_runs_nothing(cluster, call_as, described):
    got = call_as().call("GET", "/api/v1")
    page = got.content.decode()
    assert "<script" not in page.lower()
    assert got.headers["content-security-policy"].startswith("default-src 'none'")
    for cls in cluster.plugins.api:
        for operation in operations(cls).values():
            assert (f"/api/v1/{cls.object}/{operation.name}<" in page) is not operation.hidden
