"""Machine images, built from what core and the installed plugins declare."""

from conpaas.images.build import build_base, build_local_image
from conpaas.images.prune import prune_images
from conpaas.images.recipe import Recipe

__all__ = ["Recipe", "build_base", "build_local_image", "prune_images"]
