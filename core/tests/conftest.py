"""What all tests of core share."""

from hypothesis import settings

# A shared machine may stall for longer than hypothesis thinks a test may take.
settings.register_profile("conpaas", deadline=None)
settings.load_profile("conpaas")
