"""Pages of the reference, one in each module."""
