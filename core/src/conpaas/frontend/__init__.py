"""The web pages: a client of the director, as the command line is.

The rules of a page, for whoever adds one:

* A page is a class in ``pages/`` with ``on_get`` and ``on_post``, made with the
  :class:`~conpaas.frontend.site.Site` and given its address in ``server.py``.  It begins with
  ``visit = site.enter(req, resp)``, asks ``visit.api`` (the same stubs as the command line's) and
  ends with ``site.show(req, resp, visit, "<template>.html", title=…, overview=…, …)``.
* Several questions are asked at once by ``told = site.ask(visit, name=lambda: …)``:
  ``told["name"]`` raises the error that it ended with, ``told.get("name", otherwise)`` does not.
  ``told["overview"]`` (account, credit, notices) is asked for always: every page shows it.
* A GET changes nothing.  A POST reads its form by ``read_form(req, visit)``, which checks that one
  of our pages sent it, and ends in ``visit.go(path)``; ``visit.tell_next(text)`` is shown there.
  An error of the call is shown above the form, with everything that was typed.
* A form is derived: ``operation_form(operation, action, …)`` or ``subject.form(operation)``, and
  in the template ``{{ form(one) }}`` of ``macros.html``.  Every operation has a page by itself, at
  ``…/operations/<name>``; arguments in its query fill the form in (``?new_name=shop``).  It asks
  before anything is lost, and sends the browser to ``back`` or to the job's page.
* A template extends ``base.html`` and fills the blocks ``content`` and ``head``.  It has one
  ``<h1>``, sections with headings, and neither inline script nor inline style, which browsers
  refuse.  What is user's text is escaped by itself: never use ``| safe``.
* A part that shall show changes by itself has an ``id`` and ``data-live``.  The page is asked for
  again, and such parts are replaced where they differ: every second while ``busy=True`` was given
  to ``show``, then less and less often, then not at all.  A part in which people type is not live.
* States are shown by the macro ``state``, times by the filter ``when``, addresses and commands by
  the macro ``copy``.  Colours are the variables at the top of ``static/style.css``.

What plugins bring:

* ``conpaas_panels(service)`` is given a :class:`~conpaas.frontend.service_view.ServiceView` and
  returns panels; a panel's template also sees ``service``, ``csrf`` and ``here``.  Its macros come
  by ``{% from "macros.html" import form, state with context %}``.  The panel names in
  ``operations`` those that it offers; all others of the service are listed below the panels.
* ``conpaas_pages()`` returns pages below ``/plugins/<plugin>/``, linked from the account menu.
* ``templates/`` and ``static/`` beside the plugin's module are found by themselves: templates are
  called ``<plugin>/<file>``, static files ``asset("plugins/<plugin>/<file>")``.  A service type's
  picture is ``static/icon.svg``.
"""
