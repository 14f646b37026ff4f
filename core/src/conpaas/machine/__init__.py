"""What runs first on every machine: it joins the deployment and starts supervision."""
