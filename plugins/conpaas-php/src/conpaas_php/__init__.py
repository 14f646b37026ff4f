"""The ConPaaS service that hosts PHP applications."""
