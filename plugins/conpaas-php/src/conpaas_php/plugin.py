"""The hooks of the PHP service."""
