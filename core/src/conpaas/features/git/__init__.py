"""Code by ``git push``: one repository for each application, on its manager's machine.

:mod:`~conpaas.features.git.repository` and :mod:`~conpaas.features.git.sshd` drive the programs
and know nothing of managers; :mod:`~conpaas.features.git.pushes` makes code versions of what was
pushed; :mod:`~conpaas.features.git.keeping` has the repository survive its machine;
:mod:`~conpaas.features.git.server` puts them together on a manager's machine.
"""
