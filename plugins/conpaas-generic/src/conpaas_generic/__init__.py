"""The ConPaaS service that runs any program, by five scripts of the user."""
