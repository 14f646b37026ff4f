"""What the services share that host web applications: proxies, web nodes, versions of code."""
