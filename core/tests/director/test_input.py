"""Names and numbers that would cause trouble, through every operation that takes them."""

from conpaas.director.models import Application, Service

NAMES = [
    "", " ", "x" * 256, "../x", "a/b", "a\nb", "a\0b", "a\u202eb", "a😀", "-rf", "$(id)",
    "<b>x</b>", "x'; DROP TABLE application; --", "42", "a  b", None, 3, ["a"], {"a": 1}, True,
]  # fmt: skip
REFERENCES = [
    "", "../x", "a\nb", "a\0b", "\u202e", "😀", "-rf", "$(id)", "<b>", "' OR 1=1 --", "x" * 10_000,
    0, -1, 10**9, 2**31, 2**63 - 1, "9" * 17, "9" * 30, "1e3", "NaN", "\u0661", "1 ", " 1", "+1",
]  # fmt: skip
NO_REFERENCES = [None, 1.5, True, [1], {"id": 1}, 2**63, 10**30]


def refused(got, *codes):
    assert got.status in (400, 404), got.content
    assert got.code in (codes or ("invalid", "not-found")), got.content
    assert len(got.content) < 2000


def test_nothing_is_given_a_name_that_causes_trouble(cluster, owner, sid):
    for name in NAMES:
        refused(owner.post("application/create", {"name": name}), "invalid")
        refused(owner.post("application/rename", {"application": 1, "new_name": name}), "invalid")
        if name is not None:
            given = {"service_type": "simple", "application": 1, "name": name}
            refused(owner.post("service/add", given), "invalid")
        given = {"application": 1, "service": 1, "new_name": name}
        refused(owner.post("service/rename", given), "invalid")
    assert [row.name for row in Application.select()] == ["app"]
    assert [row.name for row in Service.select()] == ["New simple service"]


def test_references_that_mean_nothing_are_refused_in_a_few_words(cluster, owner, sid):
    for ref in [*REFERENCES, *NO_REFERENCES]:
        for path in ("application/get_info", "application/stop", "application/get_log"):
            refused(owner.post(path, {"application": ref}))
        refused(owner.post("service/get_state", {"application": 1, "service": ref}))
        refused(owner.post("service/remove", {"application": 1, "service": ref}))
        if ref is not None:
            refused(owner.post("service/list", {"application": ref}))
            refused(owner.post("machine/list", {"application": ref}))
    assert owner.post("application/get_info", {"application": 1}).result["status"] == "RUNNING"


def test_jobs_that_do_not_exist_are_not_found(cluster, owner, aid):
    for job in [0, -1, 10**9, 2**63 - 1, 2**63, 10**30, "1", 1.0, None, "1e3"]:
        refused(owner.post("job/get", {"job": job}))
        refused(owner.post("job/get", {"job": job, "application": 1}))


def test_places_that_do_not_exist_are_not_found(cluster, owner, sid):
    for ref in ["%2e%2e", "%00", "%0a", "%F0%9F%98%80", "-1", "9" * 19, "9" * 30, "%ff", "+", ""]:
        for path in (
            f"applications/{ref}/services/1/stop",
            f"applications/1/services/{ref}/stop",
            f"applications/{ref}/jobs/1",
            f"applications/1/jobs/{ref}",
        ):
            assert owner.post(path).status in (400, 404, 405), path
            assert owner.get(path).status in (400, 404), path
        assert owner.get(f"jobs/{ref}").status in (400, 404), ref


def test_service_types_that_do_not_exist_are_refused(cluster, owner, aid):
    for kind in ["", "simpel", "../simple", "x" * 10_000, 3, None, "Simple"]:
        refused(owner.post("service/add", {"service_type": kind, "application": 1}))
    assert Service.select().count() == 0


def test_clouds_that_do_not_exist_are_refused_before_anything_is_done(cluster, owner):
    aid = cluster.application(start=False)
    for cloud in ["memry", "../memory", "x" * 10_000, 3]:
        refused(owner.post("application/start", {"application": aid, "cloud": cloud}), "invalid")
    assert owner.post("application/get_info", {"application": aid}).result["status"] == "INIT"


def test_a_name_is_given_once_by_each_user(cluster, owner, stranger):
    assert owner.post("application/create", {"name": "shop"}).status == 200
    refused(owner.post("application/create", {"name": "shop"}), "invalid")
    assert stranger.post("application/create", {"name": "shop"}).status == 200
    assert owner.post("application/create", {"name": "other"}).status == 200
    refused(owner.post("application/rename", {"application": "other", "new_name": "shop"}))


def test_two_services_of_one_name_are_told_apart_by_number(cluster, owner, aid):
    for _ in range(2):
        cluster.service("simple", aid)
    got = owner.post("service/get_state", {"application": 1, "service": "New simple service"})
    refused(got, "invalid")
    assert "(1, 2)" in got.message


def test_who_misspells_a_name_is_told_the_nearest_of_their_own(cluster, owner, stranger):
    cluster.application("First app", start=False)
    stranger.post("application/create", {"name": "Second app"})
    got = owner.post("application/get_info", {"application": "Frist app"})
    assert "did you mean 'First app'" in got.message
    got = stranger.post("application/get_info", {"application": "First app"})
    assert "First app'?" not in got.message


def test_an_administrators_name_means_their_own_application_first(cluster, owner, admin):
    cluster.application("shop", start=False)
    assert admin.post("application/get_info", {"application": "shop"}).result["aid"] == 1
    mine = admin.post("application/create", {"name": "shop"}).result["aid"]
    assert admin.post("application/get_info", {"application": "shop"}).result["aid"] == mine


def test_a_tokens_name_may_be_anything_that_can_be_read(owner):
    for name in ["", "x" * 200, "größe", "<b>"]:
        assert owner.post("user/create_token", {"name": name}).status == 200
    for name in ["x" * 201, "a\0b", "a\nb"]:
        refused(owner.post("user/create_token", {"name": name}), "invalid")


def test_bodies_that_would_lose_something_are_refused(owner):
    for body in [
        b"\xff", b'{"name": "a", "name": "b"}', b'{"name": "a", "mane": 1}', b'{"name": NaN}',
        b"[" * 100_000, b'{"name": ' + b'{"a":' * 100_000,
    ]:  # fmt: skip
        refused(owner.post("application/create", body), "invalid")
    assert Application.select().count() == 0
