"""The command line: every operation a command, derived from its declaration.

A command runs from a cached index, so that neither plugins nor the libraries that describe
operations are imported: what stands on that path (``main``, ``index``, ``parser``, ``run``,
``config``, ``call``, ``output``) imports little, and the rest where it is needed.
"""
