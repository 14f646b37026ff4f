"""The smallest ConPaaS service, the one to copy."""
