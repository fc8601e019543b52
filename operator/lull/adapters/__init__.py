"""The modules that talk: to the API server and to Prometheus. Foreign errors are renamed here and nowhere else."""
