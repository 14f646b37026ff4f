"""ConPaaS in a nutshell: the whole system on one machine."""
