"""What happened to a service stands in its history, and its state stays as it is."""

from conpaas.manager.book import STEPS, Book
from conpaas.records import Records


def test_what_a_service_notes_is_read_in_its_history_and_log(running):
    before = running.service.get_history()
    running.manager.host(1).note("node-2 has lost its hat: it has another")
    *others, last = running.service.get_history()
    assert others == before
    assert (last.state, last.reason) == ("RUNNING", "node-2 has lost its hat: it has another")
    assert "node-2 has lost its hat" in running.service.get_log()
    assert running.state == "RUNNING"


def test_what_is_said_again_after_a_crash_is_noted_once():
    book = Book(Records(None, STEPS))
    book.add_service(1, "simple")
    for text in ("it fell", "it fell", "it is up", "it fell"):
        book.note(1, text)
    assert [change.reason for change in book.history(1)] == [
        "created", "it fell", "it is up", "it fell",
    ]  # fmt: skip
