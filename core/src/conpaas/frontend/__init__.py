"""The web pages: a client of the director, as the command line is."""
